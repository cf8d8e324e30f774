package grpcapi

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	heddlev1 "github.com/heddle-mesh/heddle/api/heddle/v1"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// encodeService writes a service as a message. Numbers fit: stored objects are valid.
func encodeService(s *mesh.Service) *heddlev1.Service {
	m := &heddlev1.Service{
		Name:         string(s.Name),
		Owner:        s.Owner,
		Description:  s.Description,
		Tier:         uint32(s.Tier),
		Deprecated:   s.Deprecated,
		Protocol:     protocols.encode(s.Protocol),
		Port:         uint32(s.Port),
		Dependencies: &heddlev1.Dependencies{Names: encodeNames(s.Dependencies)},
		ListenerPort: uint32(s.ListenerPort),
		HealthCheck:  encodeHealthCheck(s.HealthCheck),
		Traffic:      orNil(encodeTraffic(&s.Traffic)),
		Subsets:      encodeSubsets(s.Subsets),
		Routes:       encodeRoutes(s.Routes),
		Access:       encodeAccess(s.Access),
		Meta:         encodeMeta(s.Meta),
	}
	switch {
	case s.Endpoints.DNS != nil:
		m.Endpoints = &heddlev1.Endpoints{Source: &heddlev1.Endpoints_Dns{Dns: encodeDNS(s.Endpoints.DNS)}}
	case len(s.Endpoints.Static) > 0:
		m.Endpoints = &heddlev1.Endpoints{Source: &heddlev1.Endpoints_Static{Static: encodeStatic(s.Endpoints.Static)}}
	case s.Endpoints.Kubernetes != nil:
		m.Endpoints = &heddlev1.Endpoints{Source: &heddlev1.Endpoints_Kubernetes{Kubernetes: encodeKubernetes(s.Endpoints.Kubernetes)}}
	}
	if s.Endpoints.VMs != nil {
		if m.Endpoints == nil {
			m.Endpoints = &heddlev1.Endpoints{}
		}
		m.Endpoints.Vms = encodeVMs(s.Endpoints.VMs)
	}
	return m
}

// encodeUpstream writes an upstream as a message.
func encodeUpstream(s *mesh.Service) *heddlev1.Upstream {
	m := &heddlev1.Upstream{
		Name:         string(s.Name),
		Owner:        s.Owner,
		Description:  s.Description,
		Tier:         uint32(s.Tier),
		Deprecated:   s.Deprecated,
		Protocol:     protocols.encode(s.Protocol),
		Port:         uint32(s.Port),
		Dependencies: encodeNames(s.Dependencies),
		ListenerPort: uint32(s.ListenerPort),
		HealthCheck:  encodeHealthCheck(s.HealthCheck),
		Traffic:      orNil(encodeTraffic(&s.Traffic)),
		Subsets:      encodeSubsets(s.Subsets),
		Routes:       encodeRoutes(s.Routes),
		Access:       encodeAccess(s.Access),
		Meta:         encodeMeta(s.Meta),
	}
	if s.Endpoints.DNS != nil {
		m.Endpoints = &heddlev1.Upstream_Dns{Dns: encodeDNS(s.Endpoints.DNS)}
	} else {
		m.Endpoints = &heddlev1.Upstream_Static{Static: encodeStatic(s.Endpoints.Static)}
	}
	return m
}

func encodeMeta(meta mesh.Meta) *heddlev1.Meta {
	m := &heddlev1.Meta{Revision: meta.Revision, Author: meta.Author, Source: meta.Source, Keeper: string(meta.Keeper)}
	if !meta.UpdatedAt.IsZero() {
		m.UpdatedAt = timestamppb.New(meta.UpdatedAt)
	}
	return m
}

func encodeNames(list []mesh.ServiceName) []string {
	var out []string
	for _, name := range list {
		out = append(out, string(name))
	}
	return out
}

func encodeDNS(d *mesh.DNSEndpoints) *heddlev1.DnsEndpoints {
	return &heddlev1.DnsEndpoints{
		Host:      d.Host,
		Port:      uint32(d.Port),
		Discovery: discoveries.encode(d.Discovery),
		Family:    families.encode(d.Family),
		Refresh:   encodeDuration(d.Refresh),
		Resolvers: d.Resolvers,
	}
}

func encodeKubernetes(k *mesh.KubernetesEndpoints) *heddlev1.KubernetesEndpoints {
	return &heddlev1.KubernetesEndpoints{
		Clusters:        k.Clusters,
		Namespace:       k.Namespace,
		Service:         k.Service,
		Selector:        k.Selector,
		Port:            k.Port,
		Discovery:       podDiscoveries.encode(k.Discovery),
		ClusterDomain:   k.ClusterDomain,
		ServiceAccounts: k.ServiceAccounts,
	}
}

func encodeVMs(e *mesh.VMEndpoints) *heddlev1.VmEndpoints {
	return &heddlev1.VmEndpoints{Sources: e.Sources, Tags: e.Tags, Port: uint32(e.Port), Address: vmAddresses.encode(e.Address)}
}

func encodeStatic(list []mesh.StaticEndpoint) *heddlev1.StaticEndpoints {
	out := &heddlev1.StaticEndpoints{}
	for _, one := range list {
		out.Addresses = append(out.Addresses, &heddlev1.StaticEndpoint{Address: one.Address, Port: uint32(one.Port), Weight: int32(one.Weight)})
	}
	return out
}

func encodeSubsets(list []mesh.Subset) []*heddlev1.Subset {
	var out []*heddlev1.Subset
	for _, one := range list {
		out = append(out, &heddlev1.Subset{Name: one.Name, Labels: one.Labels})
	}
	return out
}

func encodeRoutes(list []mesh.RouteRule) []*heddlev1.RouteRule {
	var out []*heddlev1.RouteRule
	for i := range list {
		rule := &list[i]
		m := &heddlev1.RouteRule{
			Match:   orNil(encodeMatch(&rule.Match)),
			Timeout: encodeDuration(rule.Timeout),
			Retries: encodeRetries(rule.Retries),
			Rewrite: rule.Rewrite,
		}
		if rule.Mirror != nil {
			m.Mirror = &heddlev1.Mirror{Subset: rule.Mirror.Subset, Percent: rule.Mirror.Percent}
		}
		for _, to := range rule.To {
			m.To = append(m.To, &heddlev1.WeightedSubset{Subset: to.Subset, Weight: int32(to.Weight)})
		}
		out = append(out, m)
	}
	return out
}

func encodeMatch(match *mesh.RequestMatch) *heddlev1.RequestMatch {
	m := &heddlev1.RequestMatch{Methods: match.Methods}
	if p := match.Path; p != nil {
		m.Path = &heddlev1.PathMatch{}
		switch {
		case p.Exact != "":
			m.Path.Kind = &heddlev1.PathMatch_Exact{Exact: p.Exact}
		case p.Prefix != "":
			m.Path.Kind = &heddlev1.PathMatch_Prefix{Prefix: p.Prefix}
		case p.Regex != "":
			m.Path.Kind = &heddlev1.PathMatch_Regex{Regex: p.Regex}
		}
	}
	for _, h := range match.Headers {
		header := &heddlev1.HeaderMatch{Name: h.Name, Invert: h.Invert}
		switch {
		case h.Exact != "":
			header.Value = &heddlev1.HeaderMatch_Exact{Exact: h.Exact}
		case h.Prefix != "":
			header.Value = &heddlev1.HeaderMatch_Prefix{Prefix: h.Prefix}
		case h.Regex != "":
			header.Value = &heddlev1.HeaderMatch_Regex{Regex: h.Regex}
		}
		m.Headers = append(m.Headers, header)
	}
	for _, q := range match.Query {
		parameter := &heddlev1.QueryMatch{Name: q.Name}
		switch {
		case q.Exact != "":
			parameter.Value = &heddlev1.QueryMatch_Exact{Exact: q.Exact}
		case q.Prefix != "":
			parameter.Value = &heddlev1.QueryMatch_Prefix{Prefix: q.Prefix}
		case q.Regex != "":
			parameter.Value = &heddlev1.QueryMatch_Regex{Regex: q.Regex}
		}
		m.Query = append(m.Query, parameter)
	}
	return m
}

func encodeDuration(d mesh.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d.Std())
}

// orNil leaves out a message in which nothing is set.
func orNil[M proto.Message](m M) M {
	if proto.Size(m) == 0 {
		var none M
		return none
	}
	return m
}

func encodeAccess(a mesh.Access) *heddlev1.Access {
	return orNil(&heddlev1.Access{
		Callers: callerPolicies.encode(a.Callers), Approved: a.Approved, Refused: a.Refused,
		Mtls: mtlsModes.encode(a.MTLS), Enforcement: enforcements.encode(a.Enforcement),
	})
}
