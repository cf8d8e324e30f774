package translate

import (
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// defaultTimeout is for services that are not grpc: a gRPC call may stream for
// as long as it likes, and its caller sends the deadline that it wants.
const defaultTimeout = 15 * time.Second

// routesTo are the service's rules in order, and behind them, unless the last
// one matches every request, all its instances.
func (b *builder) routesTo(s *mesh.Service) []*routev3.Route {
	out := make([]*routev3.Route, 0, len(s.Routes)+1)
	common := b.commonOf(s)
	complete := false
	for i := range s.Routes {
		rule := &s.Routes[i]
		match := routeMatch(rule.Match)
		complete = match.GetPrefix() == "/" && len(match.GetHeaders()) == 0 && len(match.GetQueryParameters()) == 0
		out = append(out, &routev3.Route{Match: match, Action: &routev3.Route_Route{Route: routeAction(common, rule)}})
	}
	if !complete {
		all := &mesh.RouteRule{}
		out = append(out, &routev3.Route{Match: routeMatch(all.Match), Action: &routev3.Route_Route{Route: routeAction(common, all)}})
	}
	return out
}

// common is what a service's rules share, made once for all of them.
type common struct {
	*mesh.Service
	*builder
	retries *routev3.RetryPolicy
	hash    []*routev3.RouteAction_HashPolicy
	subsets map[string]*corev3.Metadata
}

func (b *builder) commonOf(s *mesh.Service) *common {
	c := &common{s, b, retryPolicy(s, nil), hashPolicy(s.Traffic.LoadBalancing), map[string]*corev3.Metadata{}}
	for _, subset := range s.Subsets {
		c.subsets[subset.Name] = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{"envoy.lb": subsetLabels(s, subset.Name)}}
	}
	return c
}

func routeAction(s *common, rule *mesh.RouteRule) *routev3.RouteAction {
	action := &routev3.RouteAction{
		Timeout:     timeout(s.Service, rule),
		IdleTimeout: optional(s.Traffic.IdleTimeout),
		RetryPolicy: s.retries,
		HashPolicy:  s.hash,
	}
	if rule.Retries != nil {
		action.RetryPolicy = retryPolicy(s.Service, rule.Retries)
	}
	if host := s.Traffic.HostHeader; host != "" {
		action.HostRewriteSpecifier = &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: host}
	}
	targets(action, s, rule.To)
	rewrite(action, rule.Rewrite, rule.Match)
	if rule.Mirror != nil {
		action.RequestMirrorPolicies = []*routev3.RouteAction_RequestMirrorPolicy{mirrorTo(s.shared(subsetCluster(s.Name, rule.Mirror.Subset)), rule.Mirror.Percent)}
	}
	return action
}

func timeout(s *mesh.Service, rule *mesh.RouteRule) *durationpb.Duration {
	switch {
	case rule.Timeout != 0:
		return durationpb.New(rule.Timeout.Std())
	case s.Traffic.NoTimeout, s.Traffic.Timeout == 0 && s.Protocol == mesh.GRPC:
		return durationpb.New(0)
	}
	return or(s.Traffic.Timeout, defaultTimeout)
}

// targets shares the requests out among subsets, by weight.
func targets(action *routev3.RouteAction, s *common, to []mesh.WeightedSubset) {
	var live []mesh.WeightedSubset
	for _, one := range to {
		if one.Weight > 0 {
			live = append(live, one)
		}
	}
	if len(live) < 2 {
		action.ClusterSpecifier = &routev3.RouteAction_Cluster{Cluster: s.shared(string(s.Name))}
		if len(live) == 1 {
			action.MetadataMatch = s.subsets[live[0].Subset]
		}
		return
	}
	weighted := &routev3.WeightedCluster{}
	for _, one := range live {
		weighted.Clusters = append(weighted.Clusters, &routev3.WeightedCluster_ClusterWeight{
			Name:          s.shared(string(s.Name)),
			Weight:        wrapperspb.UInt32(uint32(one.Weight)),
			MetadataMatch: s.subsets[one.Subset],
		})
	}
	action.ClusterSpecifier = &routev3.RouteAction_WeightedClusters{WeightedClusters: weighted}
}

func mirrorTo(cluster string, percent float64) *routev3.RouteAction_RequestMirrorPolicy {
	out := &routev3.RouteAction_RequestMirrorPolicy{
		Cluster: cluster,
		// The copy asks for the same host, or else the service may not know it.
		DisableShadowHostSuffixAppend: true,
	}
	if percent > 0 && percent < 100 {
		out.RuntimeFraction = &corev3.RuntimeFractionalPercent{DefaultValue: &typev3.FractionalPercent{
			Numerator: uint32(percent * 10_000), Denominator: typev3.FractionalPercent_MILLION,
		}}
	}
	return out
}
