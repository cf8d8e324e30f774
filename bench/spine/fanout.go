package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
	"github.com/heddle-mesh/heddle/internal/xds"
)

const (
	fanoutStreams = 100
	fanoutRounds  = 200
	// quiet comes before each send, so that none pays for the acknowledgements of
	// the one before.
	quiet = 10 * time.Millisecond
)

// fanout measures how long it takes from the moment a change reaches the
// catalog until the last of 100 streams, each on a connection of its own, has
// it: translation, encoding, sending and the clients' decoding. The floor is a
// gRPC server that sends the same bytes, already encoded, to 100 such streams.
// Rounds of both alternate.
func fanout(ctx context.Context) (report, error) {
	r := newReport("fanout", fmt.Sprintf("Catalog change to the last of %d streams, beside a raw gRPC send of the same bytes", fanoutStreams))
	s, err := startSpine(ctx)
	if err != nil {
		return r, err
	}
	defer s.close()
	if err := s.declare(ctx); err != nil {
		return r, err
	}
	keep, err := s.store.Register(ctx, instances(20), time.Hour, registry.Write{Author: "bench"})
	if err != nil {
		return r, err
	}
	heddle, err := subscribeAll(ctx, s.address)
	if err != nil {
		return r, err
	}
	defer heddle.close()

	first, err := heddle.last(ctx) // the first state, which also gives the bytes to send for the floor
	if err != nil {
		return r, err
	}
	floorServer, err := startFloor(ctx, first.body)
	if err != nil {
		return r, err
	}
	defer floorServer.stop()
	floor, err := subscribeAll(ctx, floorServer.address)
	if err != nil {
		return r, err
	}
	defer floor.close()
	floorServer.await(fanoutStreams)

	var ours, raw []time.Duration
	for round := range warmUp + fanoutRounds {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		took, err := changeOnce(ctx, s, heddle, keep[0], round)
		if err == nil {
			var rawTook time.Duration
			time.Sleep(quiet)
			start := time.Now()
			floorServer.sendAll()
			var end arrival
			if end, err = floor.last(ctx); err == nil {
				rawTook = end.at.Sub(start)
			}
			if err == nil && round >= warmUp {
				ours, raw = append(ours, took), append(raw, rawTook)
			}
		}
		cancel()
		if err != nil {
			return r, fmt.Errorf("round %d: %w", round, err)
		}
	}
	r.add("Heddle: catalog change → last stream", ours)
	r.add("raw gRPC: send → last stream", raw)
	r.note("Ratio of the medians: %.2f (%d bytes of endpoints to each stream).", r.Rows[0].P50/r.Rows[1].P50, len(first.body))
	return r, nil
}

// changeOnce changes one instance and gives the time from the change's arrival
// at the catalog to the last stream. The change is handed to the catalog as the
// watch would: etcd, which works on a write for longer than until its watchers
// have it, would take the processor from what is measured.
func changeOnce(ctx context.Context, s *spine, streams subscribers, one mesh.Instance, round int) (time.Duration, error) {
	one.Health = mesh.Draining
	if round%2 == 1 {
		one.Health = mesh.Healthy
	}
	revision := s.catalog.View().Revision() + 1
	one.Meta.Revision = revision
	time.Sleep(quiet)
	start := time.Now()
	s.catalog.Apply(revision, true, []mesh.Change{{Instance: &one, Revision: revision}})
	end, err := streams.last(ctx)
	return end.at.Sub(start), err
}

func instances(n int) []mesh.Instance {
	list := make([]mesh.Instance, n)
	for i := range list {
		list[i] = mesh.Instance{ID: mesh.InstanceID("i" + strconv.Itoa(i)), Service: "target", Address: "10.0.0." + strconv.Itoa(i+1), Port: 80}
	}
	return list
}

type subscribers []*subscriber

func subscribeAll(ctx context.Context, address string) (subscribers, error) {
	var all subscribers
	for i := range fanoutStreams {
		one, err := subscribe(ctx, address, "caller/c"+strconv.Itoa(i))
		if err != nil {
			all.close()
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// last waits for one arrival on each stream and gives the latest.
func (all subscribers) last(ctx context.Context) (arrival, error) {
	var latest arrival
	for _, one := range all {
		a, err := one.wait(ctx, func(a arrival) bool { return len(a.body) > 0 })
		if err != nil {
			return arrival{}, err
		}
		if a.at.After(latest.at) {
			latest = a
		}
	}
	return latest, nil
}

func (all subscribers) close() {
	for _, one := range all {
		one.close()
	}
}

// floorServer sends one response, encoded once, to all streams when told.
type floorServer struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	address string
	server  *grpc.Server
	body    *discoveryv3.DeltaDiscoveryResponse
	joined  chan chan struct{}
	streams []chan struct{}
}

func startFloor(ctx context.Context, endpoints []byte) (*floorServer, error) {
	listener, err := listenLoopback(ctx)
	if err != nil {
		return nil, err
	}
	f := &floorServer{address: listener.Addr().String(), joined: make(chan chan struct{}, fanoutStreams)}
	f.body = &discoveryv3.DeltaDiscoveryResponse{
		TypeUrl: xds.TypeEndpoint, Nonce: "1", SystemVersionInfo: "0123456789abcdef",
		Resources: []*discoveryv3.Resource{{
			Name: "target", Version: "0123456789abcdef",
			Resource: &anypb.Any{TypeUrl: xds.TypeEndpoint, Value: endpoints},
		}},
	}
	f.server = grpc.NewServer()
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(f.server, f)
	go func() { _ = f.server.Serve(listener) }() // ends with stop
	return f, nil
}

// DeltaAggregatedResources sends the response each time it is told to. It takes
// the acknowledgements in as an xDS server does.
func (f *floorServer) DeltaAggregatedResources(stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	prepared := &grpc.PreparedMsg{}
	if err := prepared.Encode(stream, f.body); err != nil {
		return err
	}
	tell := make(chan struct{}, 1)
	f.joined <- tell
	go func() {
		for {
			if _, err := stream.Recv(); err != nil {
				return
			}
		}
	}()
	for {
		select {
		case <-stream.Context().Done():
			return nil
		case <-tell:
			if err := stream.SendMsg(prepared); err != nil {
				return err
			}
		}
	}
}

func (f *floorServer) await(n int) {
	for range n {
		f.streams = append(f.streams, <-f.joined)
	}
}

func (f *floorServer) sendAll() {
	for _, one := range f.streams {
		one <- struct{}{}
	}
}

func (f *floorServer) stop() { f.server.Stop() }
