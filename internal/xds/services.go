package xds

import (
	clusterservice "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	endpointservice "github.com/envoyproxy/go-control-plane/envoy/service/endpoint/v3"
	extensionservice "github.com/envoyproxy/go-control-plane/envoy/service/extension/v3"
	listenerservice "github.com/envoyproxy/go-control-plane/envoy/service/listener/v3"
	routeservice "github.com/envoyproxy/go-control-plane/envoy/service/route/v3"
	runtimeservice "github.com/envoyproxy/go-control-plane/envoy/service/runtime/v3"
	secretservice "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	statusv3 "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	"google.golang.org/grpc"
)

// Register adds the aggregated service, the separate ones and the one that tells
// of all clients (CSDS) to a gRPC server, which should have been made with
// [ServerOptions].
func (s *Server) Register(r grpc.ServiceRegistrar) {
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(r, aggregatedService{server: s})
	clusterservice.RegisterClusterDiscoveryServiceServer(r, clusterService{server: s})
	endpointservice.RegisterEndpointDiscoveryServiceServer(r, endpointService{server: s})
	listenerservice.RegisterListenerDiscoveryServiceServer(r, listenerService{server: s})
	routeservice.RegisterRouteDiscoveryServiceServer(r, routeService{server: s})
	secretservice.RegisterSecretDiscoveryServiceServer(r, secretService{server: s})
	runtimeservice.RegisterRuntimeDiscoveryServiceServer(r, runtimeService{server: s})
	extensionservice.RegisterExtensionConfigDiscoveryServiceServer(r, extensionService{server: s})
	statusv3.RegisterClientStatusDiscoveryServiceServer(r, statusService{server: s})
}

// Each service below is the generated interface put before [Server.serve]. The
// Fetch methods, which no Envoy uses over gRPC, stay unimplemented.

type aggregatedService struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	server *Server
}

func (a aggregatedService) StreamAggregatedResources(g discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	return a.server.serve(g, false, true, 0)
}

func (a aggregatedService) DeltaAggregatedResources(g discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	return a.server.serve(g, true, true, 0)
}

type clusterService struct {
	clusterservice.UnimplementedClusterDiscoveryServiceServer
	server *Server
}

func (c clusterService) StreamClusters(g clusterservice.ClusterDiscoveryService_StreamClustersServer) error {
	return c.server.serve(g, false, false, kindCluster)
}

func (c clusterService) DeltaClusters(g clusterservice.ClusterDiscoveryService_DeltaClustersServer) error {
	return c.server.serve(g, true, false, kindCluster)
}

type endpointService struct {
	endpointservice.UnimplementedEndpointDiscoveryServiceServer
	server *Server
}

func (e endpointService) StreamEndpoints(g endpointservice.EndpointDiscoveryService_StreamEndpointsServer) error {
	return e.server.serve(g, false, false, kindEndpoint)
}

func (e endpointService) DeltaEndpoints(g endpointservice.EndpointDiscoveryService_DeltaEndpointsServer) error {
	return e.server.serve(g, true, false, kindEndpoint)
}

type listenerService struct {
	listenerservice.UnimplementedListenerDiscoveryServiceServer
	server *Server
}

func (l listenerService) StreamListeners(g listenerservice.ListenerDiscoveryService_StreamListenersServer) error {
	return l.server.serve(g, false, false, kindListener)
}

func (l listenerService) DeltaListeners(g listenerservice.ListenerDiscoveryService_DeltaListenersServer) error {
	return l.server.serve(g, true, false, kindListener)
}

type routeService struct {
	routeservice.UnimplementedRouteDiscoveryServiceServer
	server *Server
}

func (r routeService) StreamRoutes(g routeservice.RouteDiscoveryService_StreamRoutesServer) error {
	return r.server.serve(g, false, false, kindRoute)
}

func (r routeService) DeltaRoutes(g routeservice.RouteDiscoveryService_DeltaRoutesServer) error {
	return r.server.serve(g, true, false, kindRoute)
}

type secretService struct {
	secretservice.UnimplementedSecretDiscoveryServiceServer
	server *Server
}

func (e secretService) StreamSecrets(g secretservice.SecretDiscoveryService_StreamSecretsServer) error {
	return e.server.serve(g, false, false, kindSecret)
}

func (e secretService) DeltaSecrets(g secretservice.SecretDiscoveryService_DeltaSecretsServer) error {
	return e.server.serve(g, true, false, kindSecret)
}

type runtimeService struct {
	runtimeservice.UnimplementedRuntimeDiscoveryServiceServer
	server *Server
}

func (r runtimeService) StreamRuntime(g runtimeservice.RuntimeDiscoveryService_StreamRuntimeServer) error {
	return r.server.serve(g, false, false, kindRuntime)
}

func (r runtimeService) DeltaRuntime(g runtimeservice.RuntimeDiscoveryService_DeltaRuntimeServer) error {
	return r.server.serve(g, true, false, kindRuntime)
}

type extensionService struct {
	extensionservice.UnimplementedExtensionConfigDiscoveryServiceServer
	server *Server
}

func (e extensionService) StreamExtensionConfigs(g extensionservice.ExtensionConfigDiscoveryService_StreamExtensionConfigsServer) error {
	return e.server.serve(g, false, false, kindExtension)
}

func (e extensionService) DeltaExtensionConfigs(g extensionservice.ExtensionConfigDiscoveryService_DeltaExtensionConfigsServer) error {
	return e.server.serve(g, true, false, kindExtension)
}
