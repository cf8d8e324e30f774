package translate

import (
	"fmt"
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// proxyless makes what a gRPC library asks for to call xds:///NAME: a listener of
// that name, and behind it routes, a cluster and endpoints (gRFC A27). Libraries
// refuse what they do not know in them, so they get less than an Envoy, in
// resources of their own; only the endpoints are the same.
func (b *builder) proxyless() {
	for _, d := range b.dependencies {
		switch s := d.service; {
		case s == nil:
			continue // to the library it does not exist yet
		case s.Protocol != mesh.GRPC:
			b.problem(b.own.Name, fmt.Sprintf("its proxyless clients cannot call %q, which speaks %s: a gRPC library calls services of protocol grpc; for others run heddle proxy beside it", d.name, s.Protocol))
		case !s.Endpoints.Registered():
			b.problem(b.own.Name, fmt.Sprintf("its proxyless clients cannot call %q, whose instances are not registered; they call it by its own address, or run heddle proxy beside them", d.name))
		default:
			b.proxylessDependency(s)
			b.resources = append(b.resources, Endpoints(b.view, d.name)...)
		}
	}
}

func (b *builder) proxylessDependency(s *mesh.Service) {
	if without := notForGRPC(s); len(without) > 0 {
		b.problem(b.own.Name, fmt.Sprintf("its proxyless clients call %q without what it declares as %s: a gRPC library cannot do that; run heddle proxy beside them if it matters", s.Name, strings.Join(without, ", ")))
	}
	target, origin := "proxyless."+string(s.Name), originOf(s)
	manager := withRoutes(&hcmv3.HttpConnectionManager{HttpFilters: []*hcmv3.HttpFilter{{
		Name: "envoy.filters.http.router", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(&routerv3.Router{})},
	}}}, target)
	b.add(TypeListener, string(s.Name), &listenerv3.Listener{
		Name: string(s.Name), ApiListener: &listenerv3.ApiListener{ApiListener: pack(manager)},
	}, origin)

	action := &routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: target},
		RetryPolicy:      grpcRetries(s.Traffic.Retries),
	}
	if s.Traffic.Timeout > 0 {
		action.MaxStreamDuration = &routev3.RouteAction_MaxStreamDuration{MaxStreamDuration: durationpb.New(s.Traffic.Timeout.Std())}
	}
	b.add(TypeRoute, target, &routev3.RouteConfiguration{Name: target, VirtualHosts: []*routev3.VirtualHost{{
		Name: string(s.Name), Domains: []string{"*"}, Routes: []*routev3.Route{{
			Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: ""}},
			Action: &routev3.Route_Route{Route: action},
		}},
	}}}, origin)

	cluster := &clusterv3.Cluster{
		Name:                 target,
		LbPolicy:             clusterv3.Cluster_ROUND_ROBIN,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig:     &clusterv3.Cluster_EdsClusterConfig{EdsConfig: overADS(), ServiceName: string(s.Name)},
	}
	if limits := s.Traffic.CircuitBreaker; limits != nil && limits.MaxRequests > 0 {
		// The one limit that libraries know (gRFC A32); their default is Envoy's.
		cluster.CircuitBreakers = &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{MaxRequests: count(limits.MaxRequests)}}}
	}
	b.add(TypeCluster, target, cluster, origin)
}

// grpcConditions are the retry conditions that gRPC libraries know (gRFC A44).
// What never reached a service they send again by themselves.
var grpcConditions = []string{"cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"}

func grpcRetries(r *mesh.Retries) *routev3.RetryPolicy {
	if r == nil || r.Attempts <= 0 {
		return nil
	}
	on := slices.DeleteFunc(slices.Clone(r.On), notGRPCCondition)
	if len(on) == 0 {
		return nil
	}
	return &routev3.RetryPolicy{RetryOn: strings.Join(on, ","), NumRetries: wrapperspb.UInt32(uint32(r.Attempts))}
}

func notGRPCCondition(condition string) bool { return !slices.Contains(grpcConditions, condition) }

// notForGRPC lists the fields of a declaration that a sidecar heeds and a gRPC
// library does not.
func notForGRPC(s *mesh.Service) []string {
	t := s.Traffic
	retries, limits := mesh.Retries{}, mesh.CircuitBreaker{}
	if t.Retries != nil {
		retries = *t.Retries
	}
	if t.CircuitBreaker != nil {
		limits = *t.CircuitBreaker
	}
	var without []string
	for _, field := range []struct {
		name     string
		declared bool
	}{
		{"healthCheck", s.HealthCheck != nil},
		{"routes", len(s.Routes) > 0},
		{"traffic.idleTimeout", t.IdleTimeout != 0},
		{"traffic.connectTimeout", t.ConnectTimeout != 0},
		{"traffic.hostHeader", t.HostHeader != ""},
		{"traffic.retries.on", slices.ContainsFunc(retries.On, notGRPCCondition)},
		{"traffic.retries.perTryTimeout", retries.PerTryTimeout != 0},
		{"traffic.loadBalancing.policy", t.LoadBalancing.Policy != "" && t.LoadBalancing.Policy != mesh.RoundRobin},
		{"traffic.circuitBreaker.maxConnections", limits.MaxConnections != 0},
		{"traffic.circuitBreaker.maxPendingRequests", limits.MaxPendingRequests != 0},
		{"traffic.circuitBreaker.maxRetries", limits.MaxRetries != 0},
		{"traffic.outlierDetection", t.OutlierDetection != nil},
	} {
		if field.declared {
			without = append(without, field.name)
		}
	}
	return without
}
