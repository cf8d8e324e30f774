package xds_test

import (
	"encoding/json"
	"net"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	managerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heddle-mesh/heddle/internal/xds"
)

// envoyWorld is what Envoy's scope holds.
type envoyWorld struct {
	t       *testing.T
	members map[xds.Key]*xds.Resource
}

// update takes away the clusters of these names and adds or changes resources;
// it carries everything, as for a server that has just started.
func (w *envoyWorld) update(gone []string, messages ...proto.Message) xds.Update {
	for _, name := range gone {
		delete(w.members, xds.Key{Type: xds.TypeCluster, Name: name})
		delete(w.members, xds.Key{Type: xds.TypeEndpoint, Name: name})
	}
	for _, m := range messages {
		name := ""
		switch m := m.(type) {
		case *endpointv3.ClusterLoadAssignment:
			name = m.GetClusterName()
		case interface{ GetName() string }:
			name = m.GetName()
		}
		typeURL := "type.googleapis.com/" + string(m.ProtoReflect().Descriptor().FullName())
		r, err := xds.NewResource(typeURL, name, m, xds.Origin{Object: name, Author: "ann"})
		if err != nil {
			w.t.Fatal(err)
		}
		w.members[xds.Key{Type: typeURL, Name: name}] = r
	}
	u := xds.Update{Scopes: map[string][]xds.Key{"web": nil}}
	for key, r := range w.members {
		u.Scopes["web"] = append(u.Scopes["web"], key)
		u.Put = append(u.Put, r)
	}
	return u
}

func edsCluster(name string, timeout time.Duration) *clusterv3.Cluster {
	return &clusterv3.Cluster{Name: name, ConnectTimeout: durationpb.New(timeout), IgnoreHealthOnHostRemoval: true,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig:     &clusterv3.Cluster_EdsClusterConfig{EdsConfig: adsSource()}}
}

func adsSource() *corev3.ConfigSource {
	return &corev3.ConfigSource{ResourceApiVersion: corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}}}
}

func endpoints(cluster string, b *httptest.Server) *endpointv3.ClusterLoadAssignment {
	host, port, _ := net.SplitHostPort(b.Listener.Addr().String())
	number, _ := strconv.ParseUint(port, 10, 16)
	return &endpointv3.ClusterLoadAssignment{ClusterName: cluster, Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
		HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: tcpAddress(host, uint32(number))}}}}}}}
}

func tcpAddress(host string, port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port}}}}
}

func routes(cluster string) *routev3.RouteConfiguration {
	return &routev3.RouteConfiguration{Name: "out", VirtualHosts: []*routev3.VirtualHost{{Name: "all", Domains: []string{"*"}, Routes: []*routev3.Route{{
		Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster}}}}}}}}
}

func httpListener(t *testing.T) *listenerv3.Listener {
	pack := func(m proto.Message) *anypb.Any {
		packed, err := anypb.New(m)
		if err != nil {
			t.Fatal(err)
		}
		return packed
	}
	manager := &managerv3.HttpConnectionManager{StatPrefix: "out",
		RouteSpecifier: &managerv3.HttpConnectionManager_Rds{Rds: &managerv3.Rds{RouteConfigName: "out", ConfigSource: adsSource()}},
		HttpFilters:    []*managerv3.HttpFilter{{Name: "router", ConfigType: &managerv3.HttpFilter_TypedConfig{TypedConfig: pack(&routerv3.Router{})}}}}
	return &listenerv3.Listener{Name: "out", Address: tcpAddress("127.0.0.1", 0), FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
		Name: "http", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(manager)}}}}}}
}

func envoyBootstrap(t *testing.T, api, address string) []byte {
	host, port, _ := net.SplitHostPort(address)
	ads := map[string]any{"ads": map[string]any{}, "resource_api_version": "V3"}
	bootstrap, err := json.Marshal(map[string]any{
		"node": map[string]any{"id": "web/1", "cluster": "web"},
		"dynamic_resources": map[string]any{"cds_config": ads, "lds_config": ads, "ads_config": map[string]any{
			"api_type": api, "transport_api_version": "V3", "grpc_services": []any{map[string]any{"envoy_grpc": map[string]any{"cluster_name": "xds",
				"retry_policy": map[string]any{"retry_back_off": map[string]any{"base_interval": "0.05s", "max_interval": "0.2s"}}}}}}},
		"static_resources": map[string]any{"clusters": []any{map[string]any{"name": "xds", "connect_timeout": "1s", "type": "STATIC",
			"typed_extension_protocol_options": map[string]any{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": map[string]any{
				"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": map[string]any{"http2_protocol_options": map[string]any{}}}},
			"load_assignment": map[string]any{"cluster_name": "xds", "endpoints": []any{map[string]any{"lb_endpoints": []any{map[string]any{
				"endpoint": map[string]any{"address": map[string]any{"socket_address": map[string]any{"address": host, "port_value": json.Number(port)}}}}}}}}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return bootstrap
}
