package mesh

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// KubernetesDiscovery is how the pods behind a Kubernetes Service are found.
type KubernetesDiscovery string

// The kinds of discovery.
const (
	KubernetesSlices KubernetesDiscovery = "endpointSlices" // default
	KubernetesDNS    KubernetesDiscovery = "dns"
)

// DefaultClusterDomain is where Kubernetes has its names unless told otherwise.
const DefaultClusterDomain = "cluster.local"

// KubernetesEndpoints are the pods behind Kubernetes Services. With endpointSlices
// the operator of each of the clusters registers them; with dns each caller's
// sidecar resolves the Service's name.
type KubernetesEndpoints struct {
	Clusters        []string            `json:"clusters,omitempty" doc:"The clusters whose pods these are, by the names that their operators have. Required, but for discovery: dns." example:"prod"`
	Namespace       string              `json:"namespace" doc:"The namespace of the Kubernetes Service." example:"shop"`
	Service         string              `json:"service,omitempty" doc:"The Kubernetes Service; default: the service's name."`
	Selector        map[string]string   `json:"selector,omitempty" doc:"Instead of service: every Kubernetes Service in the namespace that has these labels."`
	Port            string              `json:"port,omitempty" doc:"The port of the Kubernetes Service, by name or number; default: its only one, or else the one with the service's number." example:"http"`
	Discovery       KubernetesDiscovery `json:"discovery,omitempty" enum:"endpointSlices,dns" doc:"endpointSlices (default): the operator registers each pod. dns: callers' sidecars resolve the Kubernetes Service's name, which they must be able to."`
	ServiceAccounts []string            `json:"serviceAccounts,omitempty" doc:"The service accounts in the namespace whose pods may join as the service; left out, those of each pod that says it is one." example:"orders"`
	ClusterDomain   string              `json:"clusterDomain,omitempty" doc:"For discovery: dns, the domain of the cluster's names; default cluster.local."`
}

// Has says whether pods of a cluster are among the endpoints.
func (k *KubernetesEndpoints) Has(cluster string) bool {
	return k != nil && slices.Contains(k.Clusters, cluster)
}

// resolved is the name that the Kubernetes Service has in the DNS of its cluster. The
// dot at its end keeps a pod's search domains from being tried before it.
func (k *KubernetesEndpoints) resolved(name ServiceName) *DNSEndpoints {
	out := &DNSEndpoints{Host: fmt.Sprintf("%s.%s.svc.%s.", cmp.Or(k.Service, string(name)), k.Namespace, strings.TrimSuffix(cmp.Or(k.ClusterDomain, DefaultClusterDomain), "."))}
	if number, err := strconv.ParseUint(k.Port, 10, 16); err == nil {
		out.Port = Port(number)
	}
	return out
}

const maxClusters = 100

func (k *KubernetesEndpoints) validate(f *Faults, path string) {
	dns := k.Discovery == KubernetesDNS
	switch {
	case len(k.Clusters) == 0 && !dns:
		f.Add(path+".clusters", "is required: the names of the Kubernetes clusters, as their operators have them (heddle operator --cluster)")
	case len(k.Clusters) > maxClusters:
		f.Add(path+".clusters", "has %d entries; at most %d are allowed", len(k.Clusters), maxClusters)
		return
	}
	for i, one := range k.Clusters {
		f.check(at(path+".clusters", i), labelFault(one))
		if first := slices.Index(k.Clusters, one); first < i {
			f.Add(at(path+".clusters", i), "%q is listed already, as clusters[%d]", one, first)
		}
	}
	if k.Namespace == "" {
		f.Add(path+".namespace", "is required: the namespace of the Kubernetes Service")
	} else {
		f.check(path+".namespace", labelFault(k.Namespace))
	}
	if k.Service != "" {
		f.check(path+".service", labelFault(k.Service))
	}
	if k.Discovery != "" && k.Discovery != KubernetesSlices && !dns {
		f.Add(path+".discovery", "%s", oneOf(string(k.Discovery), KubernetesSlices, KubernetesDNS))
	}
	k.validateSelector(f, path)
	k.validateAccounts(f, path+".serviceAccounts")
	k.validatePort(f, path+".port")
	switch {
	case k.ClusterDomain == "":
	case !dns:
		f.Add(path+".clusterDomain", "is for discovery: dns")
	case hostFault(k.ClusterDomain) != "" || ipFault(k.ClusterDomain) == "":
		f.Add(path+".clusterDomain", "%s is not a domain such as %s", quote(k.ClusterDomain), DefaultClusterDomain)
	}
}

func (k *KubernetesEndpoints) validateSelector(f *Faults, path string) {
	switch {
	case len(k.Selector) == 0:
		return
	case k.Service != "":
		f.Add(path+".selector", "contradicts service: choose one")
	case k.Discovery == KubernetesDNS:
		f.Add(path+".selector", "is not for discovery: dns, which resolves the name of one Kubernetes Service")
	case len(k.Selector) > maxLabels:
		f.Add(path+".selector", "has %d entries; at most %d are allowed", len(k.Selector), maxLabels)
		return
	}
	for _, key := range slices.Sorted(maps.Keys(k.Selector)) {
		f.check(join(path+".selector", cut(key)), kubernetesLabelFault(key, k.Selector[key]))
	}
}

const maxAccounts = 100

func (k *KubernetesEndpoints) validateAccounts(f *Faults, path string) {
	switch {
	case len(k.ServiceAccounts) > maxAccounts:
		f.Add(path, "has %d entries; at most %d are allowed", len(k.ServiceAccounts), maxAccounts)
		return
	case len(k.ServiceAccounts) > 0 && k.Discovery == KubernetesDNS && len(k.Clusters) == 0:
		f.Add(path, "needs clusters, in whose pods they are")
	}
	for i, one := range k.ServiceAccounts {
		if !kubernetesName(one) {
			f.Add(at(path, i), "%s is no name of a service account: use lower-case letters, digits and inner \"-\" and \".\", at most 253", quote(one))
		}
		if first := slices.Index(k.ServiceAccounts, one); first < i {
			f.Add(at(path, i), "%q is listed already, as serviceAccounts[%d]", cut(one), first)
		}
	}
}

// kubernetesName says whether s is a DNS subdomain as Kubernetes has them for names.
func kubernetesName(s string) bool {
	for i, r := range s {
		if !isLowerAlnum(r) && (r != '-' && r != '.' || i == 0 || i == len(s)-1) {
			return false
		}
	}
	return s != "" && len(s) <= 253
}

// validatePort takes a number or a name as Kubernetes has them (a DNS label of at
// most 63 characters).
func (k *KubernetesEndpoints) validatePort(f *Faults, path string) {
	switch {
	case k.Port == "":
	case isDigits(k.Port):
		if number, err := strconv.ParseUint(k.Port, 10, 16); err != nil || number == 0 {
			f.Add(path, "%s is not a port: use 1 to 65535, or a name", quote(k.Port))
		}
	default:
		f.check(path, labelFault(k.Port))
	}
	if k.Port != "" && k.Discovery == KubernetesDNS && !isDigits(k.Port) {
		f.Add(path, "has to be a number for discovery: dns, which knows no names of ports")
	}
}

// kubernetesLabelFault says why a label is none that a Kubernetes object can have, or "".
func kubernetesLabelFault(key, value string) string {
	name := key
	if prefix, rest, has := strings.Cut(key, "/"); has {
		if hostFault(prefix) != "" {
			return quote(key) + " is no label of Kubernetes: before its / is no domain"
		}
		name = rest
	}
	if !kubernetesWord(name) || name == "" {
		return quote(key) + " is no label of Kubernetes: use letters, digits and inner \"-\", \"_\", \".\""
	}
	if !kubernetesWord(value) {
		return quote(value) + " is no value of a label of Kubernetes: use letters, digits and inner \"-\", \"_\", \".\""
	}
	return ""
}

func kubernetesWord(s string) bool {
	if len(s) > maxLabel {
		return false
	}
	for i, r := range s {
		alnum := isLowerAlnum(r) || r >= 'A' && r <= 'Z'
		if !alnum && (!strings.ContainsRune("-_.", r) || i == 0 || i == len(s)-1) {
			return false
		}
	}
	return true
}
