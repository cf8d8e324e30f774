package proxy_test

import (
	"fmt"
	"net"
	"sync"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	runtimev3 "github.com/envoyproxy/go-control-plane/envoy/service/runtime/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
)

// controlPlane gives every Envoy that asks the same few resources. It stands for
// internal/xds, which this package may not know.
type controlPlane struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	address string

	mu        sync.Mutex
	resources map[string][]*discoveryv3.Resource // guarded by mu; by type URL
	refusal   error                              // guarded by mu; answers every stream
}

// startControlPlane serves an inbound listener on inboundPort (0: a free one)
// in front of the application, and an outbound one.
func startControlPlane(t *testing.T, inboundPort, appPort uint32) *controlPlane {
	t.Helper()
	plane := &controlPlane{resources: map[string][]*discoveryv3.Resource{}}
	plane.add(t, "heddle", &runtimev3.Runtime{Name: "heddle", Layer: &structpb.Struct{}})
	if appPort != 0 {
		plane.add(t, "app.orders", appCluster(appPort))
		plane.add(t, "inbound.orders", inboundListener(t, inboundPort))
	}
	plane.add(t, "outbound.orders", listener(t, "outbound.orders", 0, nil))
	plane.serve(t)
	return plane
}

func inboundListener(t *testing.T, port uint32) *listenerv3.Listener {
	t.Helper()
	return listener(t, "inbound.orders", port, &routev3.Route_Route{Route: &routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: "app.orders"}, Timeout: durationpb.New(0),
	}})
}

// moveInbound gives the next Envoys that ask another inbound port.
func (p *controlPlane) moveInbound(t *testing.T, port uint32) {
	t.Helper()
	body := packed(t, inboundListener(t, port))
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := []*discoveryv3.Resource{{Name: "inbound.orders", Version: "2", Resource: body}}
	for _, one := range p.resources[body.GetTypeUrl()] {
		if one.GetName() != "inbound.orders" {
			kept = append(kept, one)
		}
	}
	p.resources[body.GetTypeUrl()] = kept
}

func (p *controlPlane) serve(t *testing.T) {
	t.Helper()
	open, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.address = open.Addr().String()
	server := grpc.NewServer()
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(server, p)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(open) })
	t.Cleanup(func() { server.Stop(); serving.Wait() })
}

// refuse ends every stream from now on with NOT_FOUND; nil: no longer.
func (p *controlPlane) refuse(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusal = why
}

// DeltaAggregatedResources answers the first request for each type.
func (p *controlPlane) DeltaAggregatedResources(stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	answered := map[string]bool{}
	for {
		request, err := stream.Recv()
		if err != nil {
			return err
		}
		url := request.GetTypeUrl()
		if answered[url] {
			continue
		}
		answered[url] = true
		p.mu.Lock()
		resources, refusal := p.resources[url], p.refusal
		p.mu.Unlock()
		if refusal != nil {
			return status.Error(codes.NotFound, refusal.Error())
		}
		if err := stream.Send(&discoveryv3.DeltaDiscoveryResponse{TypeUrl: url, Nonce: url, Resources: resources}); err != nil {
			return err
		}
	}
}

func (p *controlPlane) add(t *testing.T, name string, m proto.Message) {
	t.Helper()
	body := packed(t, m)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resources[body.GetTypeUrl()] = append(p.resources[body.GetTypeUrl()], &discoveryv3.Resource{Name: name, Version: "1", Resource: body})
}

func packed(t *testing.T, m proto.Message) *anypb.Any {
	t.Helper()
	body, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func address(port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: "127.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}

func appCluster(port uint32) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name: "app.orders", ConnectTimeout: durationpb.New(1e9),
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		LoadAssignment: &endpointv3.ClusterLoadAssignment{ClusterName: "app.orders", Endpoints: []*endpointv3.LocalityLbEndpoints{{
			LbEndpoints: []*endpointv3.LbEndpoint{{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: address(port)}}}},
		}}},
	}
}

// listener routes all to a cluster, or without one answers 404.
func listener(t *testing.T, name string, port uint32, to *routev3.Route_Route) *listenerv3.Listener {
	t.Helper()
	host := &routev3.VirtualHost{Name: "all", Domains: []string{"*"}}
	if to != nil {
		host.Routes = []*routev3.Route{{Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}, Action: to}}
	}
	manager := &hcmv3.HttpConnectionManager{
		StatPrefix:     name,
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{VirtualHosts: []*routev3.VirtualHost{host}}},
		HttpFilters:    []*hcmv3.HttpFilter{{Name: "router", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: packed(t, &routerv3.Router{})}}},
	}
	direction := corev3.TrafficDirection_OUTBOUND
	if to != nil {
		direction = corev3.TrafficDirection_INBOUND
	}
	return &listenerv3.Listener{
		Name: name, Address: address(port), TrafficDirection: direction,
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name: "http", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: packed(t, manager)},
		}}}},
	}
}

func freePort(t *testing.T) uint32 {
	t.Helper()
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer probe.Close()
	return uint32(probe.Addr().(*net.TCPAddr).Port)
}

func url(address fmt.Stringer, path string) string { return "http://" + address.String() + path }
