package xds_test

import (
	"context"
	"fmt"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/heddle-mesh/heddle/internal/xds"
)

// BenchmarkFanout is one endpoint change to the last of 100 proxies, each on a
// connection of its own, all acknowledging.
func BenchmarkFanout(b *testing.B) {
	const streams = 100
	r := newRig(b, xds.Config{})
	orders := resource(b, xds.TypeEndpoint, "orders", "start")
	r.server.Apply(xds.Update{Put: []*xds.Resource{orders}, Scopes: map[string][]xds.Key{"web": keys(orders)}})
	received := make(chan struct{}, streams)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	for i := range streams {
		conn := r.dial()
		defer conn.Close()
		stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
		if err != nil {
			b.Fatal(err)
		}
		first := &discoveryv3.DeltaDiscoveryRequest{Node: node(fmt.Sprint("web/", i)), TypeUrl: xds.TypeEndpoint, ResourceNamesSubscribe: []string{"orders"}}
		if err := stream.Send(first); err != nil {
			b.Fatal(err)
		}
		go func() {
			for {
				response, err := stream.Recv()
				if err != nil {
					return // the benchmark is over
				}
				if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: xds.TypeEndpoint, ResponseNonce: response.GetNonce()}); err != nil {
					return
				}
				received <- struct{}{}
			}
		}()
	}
	all := func() {
		for range streams {
			<-received
		}
	}
	all()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		r.server.Apply(xds.Update{Put: []*xds.Resource{resource(b, xds.TypeEndpoint, "orders", fmt.Sprint(n))}})
		all()
	}
}

// BenchmarkApply is a change that concerns nobody among 1,000 scopes: its cost
// must not follow the size of the mesh.
func BenchmarkApply(b *testing.B) {
	server := xds.NewServer(xds.Config{Scopes: scopes{}})
	u := xds.Update{Scopes: map[string][]xds.Key{}}
	for i := range 1000 {
		r := resource(b, xds.TypeEndpoint, fmt.Sprint("service", i), "start")
		u.Put = append(u.Put, r)
		u.Scopes[fmt.Sprint("scope", i)] = keys(r)
	}
	server.Apply(u)
	a, z := resource(b, xds.TypeEndpoint, "service7", "a"), resource(b, xds.TypeEndpoint, "service7", "z")
	b.ReportAllocs()
	for b.Loop() {
		server.Apply(xds.Update{Put: []*xds.Resource{a}})
		server.Apply(xds.Update{Put: []*xds.Resource{z}})
	}
}
