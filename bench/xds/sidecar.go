package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// sidecar is one delta stream on a connection of its own that asks for what an
// Envoy would, in the order in which it would: all clusters; when it knows
// them, their endpoints by name and all listeners; then the routes that those
// name. It acknowledges everything and keeps nothing but counts.
type sidecar struct {
	fleet  *fleet
	node   string
	calls  []string // names of the endpoints
	routes string   // name of the routes

	connection *grpc.ClientConn
	stream     grpc.ClientStream
	asked      map[string]bool     // by type URL: it was subscribed to
	seen       map[string]struct{} // endpoints that came, until all have
	got        [2]int              // listeners, routes
	complete   bool
	versions   map[string]map[string]string // by type URL and name; nil: another of the fleet keeps them
	known      map[string]map[string]string // what it says that it has when it connects
}

// dial connects and subscribes to the clusters.
func (s *sidecar) dial(ctx context.Context, address string) error {
	connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(raw{}), grpc.MaxCallRecvMsgSize(64<<20)),
		grpc.WithInitialWindowSize(4<<20), grpc.WithInitialConnWindowSize(4<<20), grpc.WithNoProxy(), grpc.WithDisableServiceConfig())
	if err != nil {
		return err
	}
	s.connection = connection
	s.stream, err = connection.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, deltaMethod)
	if err != nil {
		return fmt.Errorf("open a stream as %s: %w", s.node, err)
	}
	s.asked, s.seen = map[string]bool{}, make(map[string]struct{}, len(s.calls))
	return s.subscribe(request{node: s.node, typeURL: typeCluster})
}

func (s *sidecar) subscribe(r request) error {
	if s.asked[r.typeURL] {
		return nil
	}
	s.asked[r.typeURL] = true
	r.initial = s.known[r.typeURL]
	return s.stream.SendMsg(r.encode())
}

// receive runs until the stream ends, which is an error unless it was closed.
func (s *sidecar) receive() error {
	if s.known != nil { // an Envoy that comes back asks for all that it had at once
		if err := s.askRest(); err != nil {
			return err
		}
	}
	for {
		if err := s.stream.RecvMsg(s.take); err != nil {
			if s.fleet.closed.Load() {
				return nil //nolint:nilerr // it was closed by us
			}
			return fmt.Errorf("the stream of %s: %w", s.node, err)
		}
	}
}

func (s *sidecar) askRest() error {
	return errors.Join(
		s.subscribe(request{typeURL: typeEndpoint, subscribe: s.calls}),
		s.subscribe(request{typeURL: typeListener}),
		s.subscribe(request{typeURL: typeRoute, subscribe: []string{s.routes}}))
}

// take reads one response and acknowledges it.
func (s *sidecar) take(b []byte) error {
	now := time.Now()
	var resources int
	var kind string
	round := s.fleet.round.Load()
	hit := false
	r, err := decodeResponse(b, func(name, version []byte, bytes int) {
		resources += bytes
		hit = hit || round != nil && string(name) == round.service
	})
	if err != nil {
		return err
	}
	kind = string(r.typeURL)
	s.fleet.bytes.Add(int64(len(b)))
	s.fleet.resourceBytes.Add(int64(resources))
	s.fleet.responses.Add(1)
	if hit && kind == typeEndpoint {
		round.arrived(now)
	}
	if err := s.stream.SendMsg(request{typeURL: kind, nonce: string(r.nonce)}.encode()); err != nil {
		return nil //nolint:nilerr // the next RecvMsg says why
	}
	if !s.complete || s.versions != nil {
		return s.note(kind, b)
	}
	return nil
}

// note keeps what the sidecar has, and asks for what it then needs.
func (s *sidecar) note(kind string, b []byte) error {
	_, err := decodeResponse(b, func(name, version []byte, _ int) {
		if s.versions != nil {
			if s.versions[kind] == nil {
				s.versions[kind] = map[string]string{}
			}
			s.versions[kind][string(name)] = string(version)
		}
		switch {
		case s.complete:
		case kind == typeEndpoint:
			s.seen[string(name)] = struct{}{}
		case kind == typeListener:
			s.got[0]++
		case kind == typeRoute:
			s.got[1]++
		}
	})
	if err != nil || s.complete {
		return err
	}
	switch kind {
	case typeCluster:
		err = errors.Join(s.subscribe(request{typeURL: typeEndpoint, subscribe: s.calls}), s.subscribe(request{typeURL: typeListener}))
	case typeListener:
		err = s.subscribe(request{typeURL: typeRoute, subscribe: []string{s.routes}})
	}
	if err == nil && len(s.seen) >= len(s.calls) && s.got[0] > 0 && s.got[1] > 0 {
		s.complete, s.seen = true, nil
		s.fleet.completed()
	}
	return err
}

// round is one change under way.
type round struct {
	service string
	want    int64
	next    atomic.Int64
	times   []time.Time // by order of arrival; complete when done is closed
	landed  atomic.Int64
	done    chan struct{}
}

func newRound(service string, want int) *round {
	return &round{service: service, want: int64(want), times: make([]time.Time, want), done: make(chan struct{})}
}

func (r *round) arrived(at time.Time) {
	i := r.next.Add(1)
	if i > r.want {
		return // sent twice
	}
	r.times[i-1] = at
	if r.landed.Add(1) == r.want {
		close(r.done)
	}
}
