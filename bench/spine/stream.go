package main

import (
	"context"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/heddle-mesh/heddle/internal/xds"
)

// subscriber is an xDS client that does nothing but acknowledge: it subscribes
// to the endpoints of the service "target" by delta ADS, and tells when they came.
type subscriber struct {
	connection *grpc.ClientConn
	stream     discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	arrived    chan arrival
}

// arrival is one response with endpoints.
type arrival struct {
	at    time.Time
	first string // the first endpoint's address and port
	body  []byte // the endpoints, encoded
	err   error
}

func subscribe(ctx context.Context, address, node string) (*subscriber, error) {
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(connection).DeltaAggregatedResources(ctx)
	if err != nil {
		_ = connection.Close()
		return nil, err
	}
	err = stream.Send(&discoveryv3.DeltaDiscoveryRequest{
		Node: &corev3.Node{Id: node}, TypeUrl: xds.TypeEndpoint, ResourceNamesSubscribe: []string{"target"},
	})
	if err != nil {
		_ = connection.Close()
		return nil, err
	}
	s := &subscriber{connection: connection, stream: stream, arrived: make(chan arrival, 64)}
	go s.receive() // ends with the connection
	return s, nil
}

func (s *subscriber) receive() {
	defer close(s.arrived)
	for {
		response, err := s.stream.Recv()
		now := time.Now()
		if err != nil {
			s.arrived <- arrival{err: err} // the last
			return
		}
		one := arrival{at: now}
		for _, resource := range response.GetResources() {
			one.body = resource.GetResource().GetValue()
			var endpoints endpointv3.ClusterLoadAssignment
			if err := resource.GetResource().UnmarshalTo(&endpoints); err != nil {
				one.err = err
			} else if groups := endpoints.GetEndpoints(); len(groups) > 0 && len(groups[0].GetLbEndpoints()) > 0 {
				one.first = groups[0].GetLbEndpoints()[0].GetEndpoint().GetAddress().GetSocketAddress().String()
			}
		}
		err = s.stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce()})
		if err != nil {
			return // Recv says why
		}
		s.arrived <- one
	}
}

func (s *subscriber) close() {
	_ = s.connection.Close()
	for range s.arrived { //nolint:revive // until receive has ended
	}
}
