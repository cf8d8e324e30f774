package insight

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Proposal is a declaration that would allow what was attempted.
type Proposal struct {
	Service mesh.Service
	Why     []string // a line for each thing that was seen
}

// Propose makes of what was attempted, and is not declared, the declarations that
// would allow it: callers with more dependencies, and upstreams for hosts outside.
// The owners decide.
func Propose(services []mesh.Service, d mesh.Drift) []Proposal {
	p := proposals{declared: map[string]*mesh.Service{}, made: map[string]*Proposal{}}
	for i := range services {
		p.declared[string(services[i].Name)] = &services[i]
	}
	for _, item := range d.Items {
		switch item.Kind {
		case mesh.DriftUndeclared:
			p.attempted(item)
		case mesh.DriftRefused:
			if item.Declarable {
				p.attempted(item)
			}
		case mesh.DriftPlain:
			p.plain(item)
		}
	}
	var out []Proposal
	for _, name := range slices.Sorted(maps.Keys(p.made)) {
		out = append(out, *p.made[name])
	}
	return out
}

type proposals struct {
	declared map[string]*mesh.Service
	made     map[string]*Proposal
}

// of gives the proposal about a service, as it is declared at first.
func (p *proposals) of(name string) *Proposal {
	if made := p.made[name]; made != nil {
		return made
	}
	declared := p.declared[name]
	if declared == nil {
		return nil
	}
	made := &Proposal{Service: *declared}
	made.Service.Dependencies = slices.Clone(declared.Dependencies)
	p.made[name] = made
	return made
}

func (p *proposals) attempted(item mesh.DriftItem) {
	callee := item.Callee
	if p.declared[callee] == nil {
		if callee = p.upstream(item); callee == "" {
			return
		}
	}
	caller := p.of(item.Caller)
	if caller == nil || caller.Service.Name == mesh.ServiceName(callee) {
		return
	}
	if !slices.Contains(caller.Service.Dependencies, mesh.ServiceName(callee)) {
		caller.Service.Dependencies = append(caller.Service.Dependencies, mesh.ServiceName(callee))
	}
	why := fmt.Sprintf("%s: tried %s, last %s", callee, times(item.Count), item.LastRefused.UTC().Format("2006-01-02 15:04 UTC"))
	if callee != item.Callee {
		why += fmt.Sprintf(", as %s; the application has to ask for the host %q from then on", item.Callee, callee)
	}
	caller.Why = append(caller.Why, why)
}

// upstream proposes a service for a host outside, and gives its name; "" if there is
// none to propose.
func (p *proposals) upstream(item mesh.DriftItem) string {
	host := item.Callee
	one, is := outside(host)
	name := string(one.Name)
	if !is || p.declared[name] != nil {
		return ""
	}
	if p.made[name] == nil {
		one.Owner = p.owner(item.Caller)
		p.made[name] = &Proposal{Service: one, Why: []string{"an outside host; check its owner, its port (443), and that it speaks TLS there"}}
	}
	p.made[name].Why = append(p.made[name].Why, fmt.Sprintf("%s tried to call %s %s", item.Caller, host, times(item.Count)))
	return name
}

// outside is how a host outside would be declared, if it can be proposed: not the sum
// of many, an address, or a short name, which whoever has it declares.
func outside(host string) (mesh.Service, bool) {
	if strings.ContainsAny(host, "()[]_:") || !strings.Contains(host, ".") || strings.Trim(host, "0123456789.") == "" {
		return mesh.Service{}, false
	}
	one := mesh.Service{
		Name: mesh.ServiceName(strings.ReplaceAll(host, ".", "-")), Owner: "unknown", Protocol: mesh.HTTP, Port: 443, Dependencies: []mesh.ServiceName{},
		Endpoints: mesh.Endpoints{DNS: &mesh.DNSEndpoints{Host: host}},
		Traffic:   mesh.Traffic{HostHeader: host, TLS: &mesh.UpstreamTLS{}},
	}
	return one, len(one.Validate()) == 0
}

func (p *proposals) owner(caller string) string {
	if s := p.declared[caller]; s != nil {
		return s.Owner
	}
	return "unknown"
}

// plain notes a caller in plain text beside its callee: what to declare nobody knows.
func (p *proposals) plain(item mesh.DriftItem) {
	if callee := p.of(item.Callee); callee != nil {
		callee.Why = append(callee.Why, fmt.Sprintf("unchanged; %s, %s, last %s", item.Message, times(item.Count), item.LastSeen.UTC().Format("2006-01-02 15:04 UTC")))
	}
}

func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
