package operator

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// finding is what became of looking for the pods of a mesh service.
type finding struct {
	found   bool
	reason  string // "": it is to have none of this cluster
	message string
}

// findings are those of one cluster. Discovery sets them, and they are told of in the
// status of the objects.
type findings struct {
	mu     sync.Mutex
	of     map[mesh.ServiceName]finding // guarded by mu, as below
	notify func(mesh.ServiceName)       // nil: nobody listens yet
}

func newFindings() *findings { return &findings{of: map[mesh.ServiceName]finding{}} }

func (f *findings) set(service mesh.ServiceName, now finding) {
	f.mu.Lock()
	was, notify := f.of[service], f.notify
	if now.reason == "" {
		delete(f.of, service)
	} else {
		f.of[service] = now
	}
	f.mu.Unlock()
	if now != was && notify != nil {
		notify(service)
	}
}

func (f *findings) get(service mesh.ServiceName) finding {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.of[service]
}

// listen has notify called with each service whose finding becomes another. It must not
// block.
func (f *findings) listen(notify func(mesh.ServiceName)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notify = notify
}

// finding says whether there are endpoints, and why there are none. It says the same
// however many there are.
func (p *podSet) finding(instances int) finding {
	var names, without []string
	seen := false
	for _, one := range p.backed {
		if one.service == nil && len(one.slices) == 0 {
			continue
		}
		name := p.wanted.Namespace + "/" + one.name
		names = append(names, name)
		fits := slices.ContainsFunc(one.slices, func(s discoveryv1.EndpointSlice) bool { _, fits := p.portOf(one.service, s.Ports); return fits })
		_, known := p.portName(one.service)
		switch {
		case fits:
			seen = true
		case !known || slices.ContainsFunc(one.slices, func(s discoveryv1.EndpointSlice) bool { return len(s.Endpoints) > 0 }):
			without = append(without, fmt.Sprintf("%s has %s", name, portsOf(one)))
		}
	}
	slices.Sort(names)
	slices.Sort(without)
	lacks := ""
	if len(without) > 0 {
		wanted := "port " + strconv.Itoa(int(p.port))
		if p.wanted.Port != "" {
			wanted = "port " + strconv.Quote(p.wanted.Port)
		}
		lacks = fmt.Sprintf("no %s: %s", wanted, strings.Join(without, "; "))
	}
	switch {
	case instances > 0 && lacks != "":
		return finding{true, "Found", "there are endpoints, but some of the Services have " + lacks}
	case instances > 0:
		return finding{true, "Found", "there are endpoints behind " + strings.Join(names, ", ")}
	case len(names) == 0 && len(p.wanted.Selector) > 0:
		return finding{false, "NoService", fmt.Sprintf("no Kubernetes Service in namespace %s has the labels %s", p.wanted.Namespace, labels.Set(p.wanted.Selector))}
	case len(names) == 0:
		return finding{false, "NoService", fmt.Sprintf("there is no Kubernetes Service %s/%s", p.wanted.Namespace, backingName(p.service, p.wanted))}
	case lacks != "" && !seen:
		return finding{false, "NoSuchPort", "there is " + lacks}
	}
	return finding{false, "NoEndpoints", "no pod is behind " + strings.Join(names, ", ")}
}

// portsOf lists the TCP ports that a Kubernetes Service has, or without one its slices.
func portsOf(of backing) string {
	have := map[string]bool{}
	add := func(name string, number int32, protocol corev1.Protocol) {
		if protocol != "" && protocol != corev1.ProtocolTCP {
			return
		}
		text := strconv.Itoa(int(number))
		if name != "" {
			text = fmt.Sprintf("%s (%d)", name, number)
		}
		have[text] = true
	}
	if of.service != nil {
		for _, one := range of.service.Spec.Ports {
			add(one.Name, one.Port, one.Protocol)
		}
	} else {
		for _, slice := range of.slices {
			for _, one := range slice.Ports {
				var name string
				var number int32
				var protocol corev1.Protocol
				if one.Name != nil {
					name = *one.Name
				}
				if one.Port != nil {
					number = *one.Port
				}
				if one.Protocol != nil {
					protocol = *one.Protocol
				}
				add(name, number, protocol)
			}
		}
	}
	if len(have) == 0 {
		return "no TCP ports"
	}
	return strings.Join(slices.Sorted(maps.Keys(have)), ", ")
}
