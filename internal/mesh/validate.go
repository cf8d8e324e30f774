package mesh

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Bounds that keep one object from costing the whole mesh.
const (
	maxDependencies = 1000
	maxRules        = 200
	maxSubsets      = 50
	maxLabels       = 64
	maxStatic       = 1000
	leastCritical   = 4 // the last tier
)

// Validate reports every fault of the declaration, each with its field's path.
// Whether its dependencies exist is not a fault: those that do not are pending.
func (s *Service) Validate() Faults {
	var f Faults
	f.check("name", labelFault(string(s.Name)))
	if s.Name == NoBackend {
		f.checkWrite("name", "is reserved: routes of the Gateway API name it where they have no backend")
	}
	validateOwner(&f, s.Owner)
	f.check("description", textFault(s.Description))
	if s.Tier < 0 || s.Tier > leastCritical {
		f.Add("tier", "%d is not a tier: use 1 (most critical) to %d (least), or leave it out", s.Tier, leastCritical)
	}
	validateDeprecated(&f, s.Deprecated)
	if !s.Protocol.IsHTTP() && s.Protocol != TCP {
		f.Add("protocol", "%s", oneOf(string(s.Protocol), HTTP, HTTP2, GRPC, TCP))
	}
	f.check("port", portFault(s.Port))
	s.validateDependencies(&f)
	s.Endpoints.validate(&f)
	if s.ListenerPort != 0 {
		f.check("listenerPort", portFault(s.ListenerPort))
	}
	if s.HealthCheck != nil {
		s.HealthCheck.validate(&f, "healthCheck", s.Protocol)
	}
	s.Traffic.validate(&f, "traffic", s)
	s.validateSubsets(&f)
	s.validateRoutes(&f)
	s.Access.validate(&f)
	return f
}

// maxApproved bounds the approved callers of one service, and the refused ones.
const maxApproved = 10_000

func (a *Access) validate(f *Faults) {
	if e := a.Enforcement; e != "" && e != Observe && e != Warn && e != Deny {
		f.Add("access.enforcement", "%s", oneOf(string(e), Observe, Warn, Deny))
	}
	if m := a.MTLS; m != "" && m != Permissive && m != Strict {
		f.Add("access.mtls", "%s", oneOf(string(m), Permissive, Strict))
	}
	if c := a.Callers; c != "" && c != OpenCallers && c != ApprovedCallers {
		f.Add("access.callers", "%s", oneOf(string(c), OpenCallers, ApprovedCallers))
	}
	seen := map[string]string{} // where a caller is named
	for _, list := range []struct {
		field   string
		callers []string
	}{{"access.approved", a.Approved}, {"access.refused", a.Refused}} {
		switch {
		case len(list.callers) > maxApproved:
			f.Add(list.field, "has %d entries; at most %d are allowed", len(list.callers), maxApproved)
			continue
		case len(list.callers) > 0 && a.Callers != ApprovedCallers:
			f.Add(list.field, "is for callers: approved; without that, whoever declares the service may call it")
		}
		for i, name := range list.callers {
			path := at(list.field, i)
			f.check(path, labelFault(strings.TrimPrefix(name, gatewayCaller)))
			if first, twice := seen[name]; twice {
				f.Add(path, "%+q is in %s already", name, first)
				continue
			}
			seen[name] = path
		}
	}
}

func validateOwner(f *Faults, owner string) {
	if strings.TrimSpace(owner) == "" {
		f.Add("owner", "is required: the team or person who answers for it")
	} else if fault := textFault(owner); fault != "" {
		f.Add("owner", "%s", fault)
	} else if strings.ContainsAny(owner, "\n\t") || len(owner) > 128 {
		f.Add("owner", "has to be one line of at most 128 bytes")
	}
}

func validateDeprecated(f *Faults, why string) {
	if fault := textFault(why); fault != "" {
		f.Add("deprecated", "%s", fault)
	} else if why != "" && (strings.TrimSpace(why) == "" || strings.ContainsAny(why, "\n\t")) {
		f.Add("deprecated", "has to say on one line why, and what to use instead; leave it out if the service is not deprecated")
	}
}

func (s *Service) validateDependencies(f *Faults) {
	if s.Dependencies == nil {
		f.Add("dependencies", "is required: list the services that this one calls, or write an empty list ([]) if it calls nothing")
		return
	}
	if len(s.Dependencies) > maxDependencies {
		f.Add("dependencies", "has %d entries; at most %d are allowed", len(s.Dependencies), maxDependencies)
		return
	}
	seen := map[ServiceName]int{}
	for i, name := range s.Dependencies {
		path := at("dependencies", i)
		if fault := labelFault(string(name)); fault != "" {
			f.Add(path, "%s", fault)
			continue
		}
		if first, twice := seen[name]; twice {
			f.Add(path, "%q is listed already, as dependencies[%d]", name, first)
		}
		seen[name] = i
	}
}

func (e Endpoints) validate(f *Faults) {
	if e.DNS != nil && len(e.Static) > 0 {
		f.Add("endpoints", "has both dns and static: choose one, or neither for registered instances")
	}
	if e.Kubernetes != nil {
		if e.DNS != nil || len(e.Static) > 0 {
			f.Add("endpoints", "has kubernetes beside dns or static: choose one")
		}
		e.Kubernetes.validate(f, "endpoints.kubernetes")
	}
	if e.VMs != nil {
		if e.DNS != nil || len(e.Static) > 0 || e.Kubernetes != nil && e.Kubernetes.Discovery == KubernetesDNS {
			f.Add("endpoints", "has vms beside dns, static or kubernetes with discovery: dns, which callers resolve themselves: choose one")
		}
		e.VMs.validate(f, "endpoints.vms")
	}
	if len(e.Static) > maxStatic {
		f.Add("endpoints.static", "has %d entries; at most %d are allowed", len(e.Static), maxStatic)
		return
	}
	seen := map[StaticEndpoint]int{}
	for i, one := range e.Static {
		path := at("endpoints.static", i)
		if fault := ipFault(one.Address); fault != "" {
			f.Add(path+".address", "%s; for a host name use endpoints.dns", fault)
		} else {
			f.checkWrite(path+".address", reachableFault(one.Address))
		}
		f.check(path+".port", portFault(one.Port))
		validateWeight(f, path+".weight", one.Weight, 1000)
		key := StaticEndpoint{Address: one.Address, Port: one.Port}
		if first, twice := seen[key]; twice {
			f.Add(path, "is the same address as endpoints.static[%d]", first)
		}
		seen[key] = i
	}
	if e.DNS != nil {
		e.DNS.validate(f, "endpoints.dns")
	}
}

func (d *DNSEndpoints) validate(f *Faults, path string) {
	if fault := hostFault(d.Host); fault != "" {
		f.Add(path+".host", "%s", fault)
	} else if ipFault(d.Host) == "" {
		f.Add(path+".host", "%q is an IP address; use endpoints.static", d.Host)
	}
	if d.Port != 0 {
		f.check(path+".port", portFault(d.Port))
	}
	if d.Discovery != "" && d.Discovery != DNSStrict && d.Discovery != DNSLogical {
		f.Add(path+".discovery", "%s", oneOf(string(d.Discovery), DNSStrict, DNSLogical))
	}
	if d.Family != "" && d.Family != IPv4 && d.Family != IPv6 && d.Family != IPBoth {
		f.Add(path+".family", "%s", oneOf(string(d.Family), IPv4, IPv6, IPBoth))
	}
	f.check(path+".refresh", durationFault(d.Refresh, 100*time.Millisecond, time.Hour))
	if len(d.Resolvers) > 16 {
		f.Add(path+".resolvers", "has %d entries; at most 16 are allowed", len(d.Resolvers))
		return
	}
	for i, server := range d.Resolvers {
		f.check(at(path+".resolvers", i), ipPortFault(server))
	}
}

// Validate reports every fault of the instance, each with its field's path.
func (i *Instance) Validate() Faults {
	var f Faults
	f.check("id", idFault(string(i.ID)))
	f.check("service", labelFault(string(i.Service)))
	f.check("address", ipFault(i.Address))
	f.checkWrite("address", reachableFault(i.Address))
	f.check("port", portFault(i.Port))
	f.check("locality.region", labelValueFault(i.Locality.Region))
	f.check("locality.zone", labelValueFault(i.Locality.Zone))
	validateWeight(&f, "weight", i.Weight, 1000)
	validateLabels(&f, "labels", i.Labels)
	switch i.Health {
	case "", Healthy, Draining, Unhealthy:
	default:
		f.Add("health", "%s", oneOf(string(i.Health), Healthy, Draining, Unhealthy))
	}
	return f
}

// The bounds of the runtime layer's TTL: a proxy that goes over to another
// control plane must not lose the layer on the way.
const (
	minRuntimeTTL = 5 * time.Second
	maxRuntimeTTL = 24 * time.Hour
)

// Validate reports every fault of the runtime layer.
func (r *Runtime) Validate() Faults {
	var f Faults
	if fault := durationFault(r.TTL, minRuntimeTTL, maxRuntimeTTL); fault != "" {
		f.Add("ttl", "%s", fault)
	}
	if len(r.Values) > 1000 {
		f.Add("values", "has %d keys; at most 1000 are allowed", len(r.Values))
		return f
	}
	for _, key := range slices.Sorted(maps.Keys(r.Values)) {
		if key == "" || len(key) > 255 || strings.ContainsFunc(key, func(c rune) bool { return c <= ' ' || c > '~' }) {
			f.Add("values", "%s is not a runtime key: use printable ASCII without spaces", quote(key))
		}
		switch v := r.Values[key].(type) {
		case float64, bool:
		case string:
			if len(v) > maxText {
				f.Add(join("values", cut(key)), "has %d bytes; at most %d are allowed", len(v), maxText)
			}
		default:
			f.Add(join("values", cut(key)), "wants a number, a string or a boolean")
		}
	}
	return f
}
