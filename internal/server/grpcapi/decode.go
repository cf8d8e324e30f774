package grpcapi

import (
	"fmt"
	"math"
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"

	heddlev1 "github.com/heddle-mesh/heddle/api/heddle/v1"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// decoder turns messages into the model's types. It adds only those faults that
// the model cannot see; what it reads is then validated by the model. Paths are
// the model's.
type decoder struct{ faults mesh.Faults }

// decodeService reads a service and gives every fault of it.
func decodeService(m *heddlev1.Service) (mesh.Service, mesh.Faults) {
	if m == nil {
		return mesh.Service{}, mesh.Faults{{Message: "is required"}}
	}
	d := &decoder{}
	service := mesh.Service{
		Name:         mesh.ServiceName(m.GetName()),
		Owner:        m.GetOwner(),
		Description:  m.GetDescription(),
		Tier:         tier(m.GetTier()),
		Deprecated:   m.GetDeprecated(),
		Protocol:     protocols.decode(m.GetProtocol()),
		Port:         mesh.Port(m.GetPort()),
		ListenerPort: mesh.Port(m.GetListenerPort()),
		HealthCheck:  d.healthCheck(m.GetHealthCheck()),
		Traffic:      d.traffic(m.GetTraffic()),
		Subsets:      subsets(m.GetSubsets()),
		Routes:       d.routes(m.GetRoutes()),
		Access:       access(m.GetAccess()),
		Meta:         mesh.Meta{Revision: m.GetMeta().GetRevision()},
	}
	if m.GetDependencies() != nil {
		service.Dependencies = names(m.GetDependencies().GetNames())
	}
	switch from := m.GetEndpoints().GetSource().(type) {
	case *heddlev1.Endpoints_Dns:
		service.Endpoints.DNS = d.dns(from.Dns)
	case *heddlev1.Endpoints_Static:
		service.Endpoints.Static = d.static(from.Static)
	case *heddlev1.Endpoints_Kubernetes:
		service.Endpoints.Kubernetes = kubernetes(from.Kubernetes)
	}
	if from := m.GetEndpoints().GetVms(); from != nil {
		service.Endpoints.VMs = vms(from)
	}
	return service, append(d.faults, service.Validate()...)
}

// decodeUpstream reads an upstream and gives every fault of it.
func decodeUpstream(m *heddlev1.Upstream) (mesh.Service, mesh.Faults) {
	if m == nil {
		return mesh.Service{}, mesh.Faults{{Message: "is required"}}
	}
	d := &decoder{}
	service := mesh.Service{
		Name:         mesh.ServiceName(m.GetName()),
		Owner:        m.GetOwner(),
		Description:  m.GetDescription(),
		Tier:         tier(m.GetTier()),
		Deprecated:   m.GetDeprecated(),
		Protocol:     protocols.decode(m.GetProtocol()),
		Port:         mesh.Port(m.GetPort()),
		Dependencies: names(m.GetDependencies()),
		ListenerPort: mesh.Port(m.GetListenerPort()),
		HealthCheck:  d.healthCheck(m.GetHealthCheck()),
		Traffic:      d.traffic(m.GetTraffic()),
		Subsets:      subsets(m.GetSubsets()),
		Routes:       d.routes(m.GetRoutes()),
		Access:       access(m.GetAccess()),
		Meta:         mesh.Meta{Revision: m.GetMeta().GetRevision()},
	}
	switch from := m.GetEndpoints().(type) {
	case *heddlev1.Upstream_Dns:
		service.Endpoints.DNS = d.dns(from.Dns)
	case *heddlev1.Upstream_Static:
		service.Endpoints.Static = d.static(from.Static)
	default:
		d.faults.Add("endpoints", "is required: dns or static; a service whose instances are registered is written with ServiceService")
	}
	return service, append(d.faults, service.Validate()...)
}

// tier keeps a number that is no tier one when an int has fewer bits.
func tier(number uint32) int { return int(min(number, math.MaxInt32)) }

// names is never nil: no names means that it calls nothing.
func names(list []string) []mesh.ServiceName {
	out := make([]mesh.ServiceName, len(list))
	for i, name := range list {
		out[i] = mesh.ServiceName(name)
	}
	return out
}

func (d *decoder) dns(m *heddlev1.DnsEndpoints) *mesh.DNSEndpoints {
	return &mesh.DNSEndpoints{
		Host:      m.GetHost(),
		Port:      mesh.Port(m.GetPort()),
		Discovery: discoveries.decode(m.GetDiscovery()),
		Family:    families.decode(m.GetFamily()),
		Refresh:   d.duration("endpoints.dns.refresh", m.GetRefresh()),
		Resolvers: m.GetResolvers(),
	}
}

func kubernetes(m *heddlev1.KubernetesEndpoints) *mesh.KubernetesEndpoints {
	return &mesh.KubernetesEndpoints{
		Clusters:        m.GetClusters(),
		Namespace:       m.GetNamespace(),
		Service:         m.GetService(),
		Selector:        m.GetSelector(),
		Port:            m.GetPort(),
		Discovery:       podDiscoveries.decode(m.GetDiscovery()),
		ClusterDomain:   m.GetClusterDomain(),
		ServiceAccounts: m.GetServiceAccounts(),
	}
}

func vms(m *heddlev1.VmEndpoints) *mesh.VMEndpoints {
	return &mesh.VMEndpoints{Sources: m.GetSources(), Tags: m.GetTags(), Port: mesh.Port(m.GetPort()), Address: vmAddresses.decode(m.GetAddress())}
}

func (d *decoder) static(m *heddlev1.StaticEndpoints) []mesh.StaticEndpoint {
	if len(m.GetAddresses()) == 0 {
		d.faults.Add("endpoints.static", "is empty: give at least one address")
	}
	var out []mesh.StaticEndpoint
	for _, one := range m.GetAddresses() {
		out = append(out, mesh.StaticEndpoint{Address: one.GetAddress(), Port: mesh.Port(one.GetPort()), Weight: int(one.GetWeight())})
	}
	return out
}

func subsets(list []*heddlev1.Subset) []mesh.Subset {
	var out []mesh.Subset
	for _, one := range list {
		out = append(out, mesh.Subset{Name: one.GetName(), Labels: one.GetLabels()})
	}
	return out
}

func (d *decoder) routes(list []*heddlev1.RouteRule) []mesh.RouteRule {
	var out []mesh.RouteRule
	for i, one := range list {
		path := fmt.Sprintf("routes[%d]", i)
		rule := mesh.RouteRule{
			Match:   d.match(path+".match", one.GetMatch()),
			Timeout: d.duration(path+".timeout", one.GetTimeout()),
			Retries: d.retries(path+".retries", one.GetRetries()),
			Mirror:  d.mirror(path+".mirror", one.GetMirror()),
			Rewrite: one.GetRewrite(),
		}
		for _, to := range one.GetTo() {
			rule.To = append(rule.To, mesh.WeightedSubset{Subset: to.GetSubset(), Weight: int(to.GetWeight())})
		}
		out = append(out, rule)
	}
	return out
}

func (d *decoder) match(path string, m *heddlev1.RequestMatch) mesh.RequestMatch {
	match := mesh.RequestMatch{Methods: m.GetMethods()}
	if p := m.GetPath(); p != nil {
		match.Path = &mesh.PathMatch{Exact: p.GetExact(), Prefix: p.GetPrefix(), Regex: p.GetRegex()}
	}
	for i, one := range m.GetHeaders() {
		header := mesh.HeaderMatch{Name: one.GetName(), Exact: one.GetExact(), Prefix: one.GetPrefix(), Regex: one.GetRegex(), Invert: one.GetInvert()}
		if one.GetValue() != nil && header.Exact+header.Prefix+header.Regex == "" {
			d.faults.Add(fmt.Sprintf("%s.headers[%d]", path, i), "matches an empty value: leave exact, prefix and regex out to match the header's presence")
		}
		match.Headers = append(match.Headers, header)
	}
	for i, one := range m.GetQuery() {
		parameter := mesh.QueryMatch{Name: one.GetName(), Exact: one.GetExact(), Prefix: one.GetPrefix(), Regex: one.GetRegex()}
		if one.GetValue() != nil && parameter.Exact+parameter.Prefix+parameter.Regex == "" {
			d.faults.Add(fmt.Sprintf("%s.query[%d]", path, i), "matches an empty value: leave exact, prefix and regex out to match the parameter's presence")
		}
		match.Query = append(match.Query, parameter)
	}
	return match
}

func (d *decoder) mirror(path string, m *heddlev1.Mirror) *mesh.Mirror {
	if m == nil {
		return nil
	}
	percent := m.GetPercent()
	if math.IsNaN(percent) || math.IsInf(percent, 0) { // which JSON, and so the registry, cannot hold
		d.faults.Add(path+".percent", "is not a finite number: use 0 to 100")
		percent = 0
	}
	return &mesh.Mirror{Subset: m.GetSubset(), Percent: percent}
}

// noBound is added to the refusal of a zero where a bound can be lifted.
const noBound = ", or lift the bound with no_timeout: true under the service's traffic"

// duration reads a span of time. Those too long for the model become its longest,
// which it refuses.
func (d *decoder) duration(path string, m *durationpb.Duration) mesh.Duration {
	if m == nil {
		return 0
	}
	if err := m.CheckValid(); err != nil {
		d.faults.Add(path, "is not a valid duration: seconds and nanos need the same sign, nanos are below 1e9, seconds below about 3e11")
		return 0
	}
	if m.AsDuration() == 0 {
		fault := mesh.ZeroDuration
		if path == "traffic.timeout" || strings.HasPrefix(path, "routes[") && strings.HasSuffix(path, "].timeout") {
			fault += noBound
		}
		d.faults.Add(path, "%s", fault)
	}
	return mesh.Duration(m.AsDuration())
}

func access(m *heddlev1.Access) mesh.Access {
	return mesh.Access{
		Callers: callerPolicies.decode(m.GetCallers()), Approved: m.GetApproved(), Refused: m.GetRefused(),
		MTLS: mtlsModes.decode(m.GetMtls()), Enforcement: enforcements.decode(m.GetEnforcement()),
	}
}
