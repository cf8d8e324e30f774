package translate

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// appLimit is no limit: the callers' circuit breakers bound what comes here,
// and Envoy's default of 1024 would be one more that nobody declared.
const appLimit = 1_000_000

// inbound makes the way from the callers to the application. A proxy without
// an application port only calls, and has none.
func (b *builder) inbound() {
	app := b.application()
	if app.port == 0 {
		return
	}
	if b.trust.strict(b.own) && !b.secure() {
		b.problem(b.own.Name, "a proxy of it has no identity (heddle proxy --identity-dir), and it takes nothing but mutual TLS: nobody can call it there")
		return
	}
	at := place{orAddress(b.scope.Proxy.InboundAddress, mesh.DefaultInboundAddress), b.scope.Proxy.InboundPort}
	if at.port == 0 {
		at.port = b.own.Port
	}
	transparent := b.scope.Proxy.Intercept.Transparent()
	if transparent {
		at.address = b.everywhere()
	}
	if !b.claim(at, "the inbound listener", "give the proxy another inboundPort (--inbound-port), or an inboundAddress (--inbound-address) that does not include the other's") {
		return
	}
	if transparent {
		b.transparentInbound(at.port, app)
		return
	}
	name, origin := "inbound."+b.scope.Name(), originOf(b.own)
	b.add(TypeListener, name, b.inboundListener(name, at, "app."+b.scope.Name(), app), origin)
}

// inboundListener makes the listener for calls to the application, and the cluster that
// it is.
func (b *builder) inboundListener(name string, at place, cluster string, app place) *listenerv3.Listener {
	b.add(TypeCluster, cluster, appCluster(cluster, b.own, app), originOf(b.own))
	filter, config := tcpFilter, proto.Message(tcpProxy("inbound", cluster, b.own))
	if b.own.Protocol.IsHTTP() {
		filter, config = hcmFilter, inboundHTTP(b.own, cluster)
	}
	l := listenerAt(name, at, corev3.TrafficDirection_INBOUND, filter, config)
	b.protect(l, cluster)
	return l
}

// appCluster is the application beside the proxy.
func appCluster(name string, s *mesh.Service, app place) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                 name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout:       durationpb.New(appConnectTimeout),
		LoadAssignment: &endpointv3.ClusterLoadAssignment{ClusterName: name, Endpoints: []*endpointv3.LocalityLbEndpoints{{
			LbEndpoints: []*endpointv3.LbEndpoint{{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
				Endpoint: &endpointv3.Endpoint{Address: socket(app.address, app.port)},
			}}},
		}}},
		CircuitBreakers:               unlimited(),
		TypedExtensionProtocolOptions: protocolOptions(s.Protocol, idleToApp, nil),
	}
}

// inboundHTTP passes every request on. How long one may take is the caller's
// to say, whose sidecar ends it.
func inboundHTTP(s *mesh.Service, cluster string) *hcmv3.HttpConnectionManager {
	m := httpManager("inbound")
	m.HttpProtocolOptions.DefaultHostForHttp_10 = string(s.Name) // for checks of load balancers
	m.StreamIdleTimeout = or(s.Traffic.IdleTimeout, defaultIdle)
	m.LocalReplyConfig = &hcmv3.LocalReplyConfig{Mappers: []*hcmv3.ResponseMapper{{
		Filter: &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ResponseFlagFilter{
			ResponseFlagFilter: &accesslogv3.ResponseFlagFilter{Flags: []string{"UF"}}, // no connection to the application
		}},
		HeadersToAdd: because(reasonUnreached),
	}}}
	m.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
		Name: "inbound",
		VirtualHosts: []*routev3.VirtualHost{{
			Name: "app", Domains: []string{"*"},
			Routes: []*routev3.Route{{
				Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
				Action: &routev3.Route_Route{Route: &routev3.RouteAction{
					ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster},
					Timeout:          durationpb.New(0),
					// The application closed an idle connection, or is going away, just as
					// the request set out.
					RetryPolicy: &routev3.RetryPolicy{RetryOn: "refused-stream,reset-before-request", NumRetries: wrapperspb.UInt32(1)},
				}},
				// Only a sidecar may say that the application was not reached. One that passes
				// on the headers of its own failed call would have this one sent again.
				ResponseHeadersToRemove: []string{reasonHeader},
			}},
		}},
		ValidateClusters: wrapperspb.Bool(false), // the cluster may arrive after the listener
	}}
	return m
}
