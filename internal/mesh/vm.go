package mesh

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
)

// VM is a virtual machine as a source of discovery has it: a cloud's, or an inventory's.
// Its JSON is also what GET /api/vms answers, whose fields are in snake case.
type VM struct {
	Source    string            `json:"source" doc:"The source that found it, by the name that the servers' settings give it." example:"azure-prod"`
	ID        string            `json:"id" doc:"Unique in its source, and the same for as long as the machine lives; of Azure the resource ID in lower case."`
	Name      string            `json:"name" doc:"What people call it; several machines of a source may have one name." example:"orders-1"`
	PublicIP  string            `json:"public_ip" doc:"Its public address; empty: it has none."`
	PrivateIP string            `json:"private_ip" doc:"Its address in its network, of the primary interface if it has several; empty: it has none." example:"10.0.1.4"`
	Addresses []string          `json:"addresses,omitempty" doc:"All other addresses that it has."`
	State     VMState           `json:"state" enum:"running,starting,stopping,stopped,deallocated,unknown" doc:"Whether it runs."`
	Health    VMHealth          `json:"health" enum:"healthy,unhealthy,unknown" doc:"What the cloud says of the application on it; unknown if it does not look."`
	Region    string            `json:"region,omitempty" doc:"The cloud's region." example:"westeurope"`
	Zone      string            `json:"zone,omitempty" doc:"The zone in that region." example:"1"`
	ScaleSet  string            `json:"scale_set,omitempty" doc:"The scale set that it belongs to."`
	Scope     string            `json:"scope,omitempty" doc:"The part of the source that is listed as a whole and that it is in, such as a subscription."`
	Tags      map[string]string `json:"tags,omitempty" doc:"The cloud's tags."`
	Runs      []VMService       `json:"runs,omitempty" doc:"The services that its tags name."`
	Weight    int               `json:"weight,omitempty" minimum:"1" maximum:"1000" doc:"What its tags say of its share of the traffic; default 1."`
	Faults    []string          `json:"faults,omitempty" doc:"What is wrong with it, or with its tags."`
	Meta      Meta              `json:"meta,omitzero" doc:"Set by the registry."`
}

// VMService is a service that a machine's tags name.
type VMService struct {
	Name ServiceName `json:"name" doc:"The service."`
	Port Port        `json:"port,omitempty" minimum:"1" maximum:"65535" doc:"The port that it has on the machine; default: what the service's declaration says."`
}

// VMState is whether a machine runs.
type VMState string

// The states of a machine. Only a running one is among the instances of a service;
// one that is stopping drains.
const (
	VMRunning     VMState = "running"
	VMStarting    VMState = "starting"
	VMStopping    VMState = "stopping"
	VMStopped     VMState = "stopped"
	VMDeallocated VMState = "deallocated"
	VMUnknown     VMState = "unknown" // the cloud does not say: it is taken to run
)

// VMHealth is what a cloud says of the application on a machine.
type VMHealth string

// The healths of a machine.
const (
	VMHealthy       VMHealth = "healthy"
	VMUnhealthy     VMHealth = "unhealthy"
	VMHealthUnknown VMHealth = "unknown"
)

// VMSnapshot is written with each change of any machine, so that everybody who has the
// same machines has the same revision of it (Meta.Revision), deletions included.
type VMSnapshot struct {
	Meta Meta `json:"meta,omitzero"`
}

// VMKey names a machine in the mesh.
type VMKey struct{ Source, ID string }

// Key gives the machine's name in the mesh.
func (v *VM) Key() VMKey { return VMKey{Source: v.Source, ID: v.ID} }

// String writes "source/id", as the registry's keys have it.
func (k VMKey) String() string { return k.Source + "/" + k.ID }

// Tag gives a tag's value, and whether there is one. The case of its name does not matter,
// as it does not in Azure; of several that differ in it alone, the exact one is meant, or
// else the first.
func (v *VM) Tag(name string) (value string, is bool) {
	if value, is := v.Tags[name]; is {
		return value, true
	}
	first := ""
	for key := range v.Tags {
		if strings.EqualFold(key, name) && (!is || key < first) {
			first, is = key, true
		}
	}
	return v.Tags[first], is
}

// The bounds of what a source says of a machine.
const (
	maxVMID        = 512
	maxVMTags      = 100
	maxVMTagKey    = 512 // of Azure, which has the longest
	maxVMTagValue  = 1024
	maxVMAddresses = 64
	maxVMServices  = 50
	maxVMFaults    = 20
)

// Validate reports every fault of the machine, each with its field's path.
func (v *VM) Validate() Faults {
	var f Faults
	f.check("source", labelFault(v.Source))
	if v.ID == "" || len(v.ID) > maxVMID || strings.ContainsFunc(v.ID, func(r rune) bool { return r <= ' ' || r > '~' }) {
		f.Add("id", "wants 1 to %d characters of printable ASCII without spaces", maxVMID)
	}
	for _, text := range []struct{ path, value string }{{"name", v.Name}, {"region", v.Region}, {"zone", v.Zone}, {"scale_set", v.ScaleSet}, {"scope", v.Scope}} {
		f.check(text.path, textFault(text.value))
	}
	for _, one := range []struct{ path, address string }{{"public_ip", v.PublicIP}, {"private_ip", v.PrivateIP}} {
		if one.address != "" {
			f.check(one.path, ipFault(one.address))
		}
	}
	if len(v.Addresses) > maxVMAddresses {
		f.Add("addresses", "has %d entries; at most %d are allowed", len(v.Addresses), maxVMAddresses)
	}
	for i, address := range v.Addresses {
		f.check(at("addresses", i), ipFault(address))
	}
	if !slices.Contains([]VMState{VMRunning, VMStarting, VMStopping, VMStopped, VMDeallocated, VMUnknown}, v.State) {
		f.Add("state", "%s", oneOf(string(v.State), VMRunning, VMStarting, VMStopping, VMStopped, VMDeallocated, VMUnknown))
	}
	if !slices.Contains([]VMHealth{VMHealthy, VMUnhealthy, VMHealthUnknown}, v.Health) {
		f.Add("health", "%s", oneOf(string(v.Health), VMHealthy, VMUnhealthy, VMHealthUnknown))
	}
	validateWeight(&f, "weight", v.Weight, 1000)
	validateVMTags(&f, "tags", v.Tags, maxVMTags)
	if len(v.Runs) > maxVMServices {
		f.Add("runs", "has %d entries; at most %d are allowed", len(v.Runs), maxVMServices)
		return f
	}
	for i, one := range v.Runs {
		f.check(at("runs", i)+".name", labelFault(string(one.Name)))
		if one.Port != 0 {
			f.check(at("runs", i)+".port", portFault(one.Port))
		}
	}
	if len(v.Faults) > maxVMFaults {
		f.Add("faults", "has %d entries; at most %d are allowed", len(v.Faults), maxVMFaults)
	}
	return f
}

func validateVMTags(f *Faults, path string, tags map[string]string, most int) {
	if len(tags) > most {
		f.Add(path, "has %d entries; at most %d are allowed", len(tags), most)
		return
	}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		switch {
		case key == "" || len(key) > maxVMTagKey || textFault(key) != "":
			f.Add(path, "%s is no name of a tag: use 1 to %d bytes of text", quote(key), maxVMTagKey)
		case len(tags[key]) > maxVMTagValue:
			f.Add(join(path, cut(key)), "has %d bytes; at most %d are allowed", len(tags[key]), maxVMTagValue)
		default:
			f.check(join(path, cut(key)), textFault(tags[key]))
		}
	}
}

// VMAddress is by which of a machine's addresses callers reach a service on it.
type VMAddress string

// The addresses of a machine.
const (
	PrivateAddress VMAddress = "private" // default
	PublicAddress  VMAddress = "public"
)

// VMEndpoints are the virtual machines that run a service, as sources of discovery
// find them. They may stand beside the pods of Kubernetes clusters.
type VMEndpoints struct {
	Sources []string          `json:"sources" doc:"The sources whose machines may be instances, by the names that the servers' settings give them. Required: whoever can tag machines there can have calls to the service." example:"azure-prod"`
	Tags    map[string]string `json:"tags,omitempty" doc:"Which machines: those with all of these tags. Default: those whose tag heddle-service names the service."`
	Port    Port              `json:"port,omitempty" minimum:"1" maximum:"65535" doc:"The port on the machines whose tags name none; default: the service's port."`
	Address VMAddress         `json:"address,omitempty" enum:"private,public" doc:"By which address callers reach them; default private."`
}

const maxVMSources = 100

func (e *VMEndpoints) validate(f *Faults, path string) {
	switch {
	case len(e.Sources) == 0:
		f.Add(path+".sources", "is required: the names of the sources of discovery, as the servers' settings have them (heddle server --discovery)")
	case len(e.Sources) > maxVMSources:
		f.Add(path+".sources", "has %d entries; at most %d are allowed", len(e.Sources), maxVMSources)
		return
	}
	for i, one := range e.Sources {
		f.check(at(path+".sources", i), labelFault(one))
		if first := slices.Index(e.Sources, one); first < i {
			f.Add(at(path+".sources", i), "%q is listed already, as sources[%d]", one, first)
		}
	}
	validateVMTags(f, path+".tags", e.Tags, maxLabels)
	if e.Port != 0 {
		f.check(path+".port", portFault(e.Port))
	}
	if e.Address != "" && e.Address != PrivateAddress && e.Address != PublicAddress {
		f.Add(path+".address", "%s", oneOf(string(e.Address), PrivateAddress, PublicAddress))
	}
}

// VMInstance is the instance that a machine is, of whichever service: its name, as far
// as instances may have it, and what tells it from others of that name.
func VMInstance(vm VMKey, name string) InstanceID {
	h := fnv.New32a()
	_, _ = h.Write([]byte(vm.String()))
	name = strings.Map(func(r rune) rune {
		if isLowerAlnum(r) || r >= 'A' && r <= 'Z' || r == '-' || r == '.' {
			return r
		}
		return '-'
	}, name)
	if name = strings.TrimLeft(name, "-."); name == "" {
		name = "vm"
	}
	return InstanceID(fmt.Sprintf("%s-%08x", name[:min(len(name), maxInstanceID-9)], h.Sum32()))
}
