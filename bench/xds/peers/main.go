// Command peers serves xDS with the caches of go-control-plane, for
// `make bench-xds` to compare with:
//
//	peers linear FILE      a LinearCache for each type
//	peers snapshot FILE    one SnapshotCache, one node group
//
// FILE holds the resources (bench/xds/world.go). It prints where it listens,
// and then reads changes from its standard input, one JSON object a line, and
// answers each with the moment at which it began to apply it. It is a module of
// its own, so that what it depends on is no part of Heddle.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	serverv3 "github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// peer is one of the caches.
type peer interface {
	cache() cache.Cache
	set(ctx context.Context, endpoints *endpointv3.ClusterLoadAssignment) error
}

// files is what is served, as bench/xds writes it.
type files struct {
	Resources []struct {
		Type string `json:"type"`
		Name string `json:"name"`
		Body []byte `json:"body"`
	} `json:"resources"`
	Drained map[string][]byte `json:"drained"`
}

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: peers linear|snapshot FILE")
	}
	byType, states, err := read(args[1])
	if err != nil {
		return err
	}
	var p peer
	switch args[0] {
	case "linear":
		p = newLinear(byType)
	case "snapshot":
		if p, err = newSnapshot(ctx, byType); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%q is neither linear nor snapshot", args[0])
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(server, serverv3.NewServer(ctx, p.cache(), nil))
	go func() { _ = server.Serve(listener) }() // ends with this process
	defer server.Stop()
	fmt.Printf("{\"address\":%q}\n", listener.Addr())
	return follow(ctx, p, states)
}

// follow applies changes until standard input ends.
func follow(ctx context.Context, p peer, states map[string][2]*endpointv3.ClusterLoadAssignment) error {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var change struct {
			Service string `json:"service"`
			Drained bool   `json:"drained"`
		}
		if err := json.Unmarshal(lines.Bytes(), &change); err != nil {
			return err
		}
		state := states[change.Service][0]
		if change.Drained {
			state = states[change.Service][1]
		}
		at := time.Now()
		if err := p.set(ctx, state); err != nil {
			return err
		}
		fmt.Printf("{\"at\":%d}\n", at.UnixNano())
	}
	return lines.Err()
}

// read gives the resources by type and name, and the two states of each
// service's endpoints.
func read(path string) (map[string]map[string]types.Resource, map[string][2]*endpointv3.ClusterLoadAssignment, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	var all files
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, nil, err
	}
	byType := map[string]map[string]types.Resource{}
	states := map[string][2]*endpointv3.ClusterLoadAssignment{}
	for _, r := range all.Resources {
		message := newMessage(r.Type)
		if message == nil {
			continue // no stream asks for it
		}
		if err := proto.Unmarshal(r.Body, message); err != nil {
			return nil, nil, err
		}
		if byType[r.Type] == nil {
			byType[r.Type] = map[string]types.Resource{}
		}
		byType[r.Type][r.Name] = message
		if endpoints, is := message.(*endpointv3.ClusterLoadAssignment); is {
			drained := &endpointv3.ClusterLoadAssignment{}
			if err := proto.Unmarshal(all.Drained[r.Name], drained); err != nil {
				return nil, nil, err
			}
			states[r.Name] = [2]*endpointv3.ClusterLoadAssignment{endpoints, drained}
		}
	}
	return byType, states, nil
}

func newMessage(typeURL string) proto.Message {
	switch typeURL {
	case resource.ClusterType:
		return &clusterv3.Cluster{}
	case resource.EndpointType:
		return &endpointv3.ClusterLoadAssignment{}
	case resource.ListenerType:
		return &listenerv3.Listener{}
	case resource.RouteType:
		return &routev3.RouteConfiguration{}
	}
	return nil
}

// linear has a cache for each type.
type linear struct{ mux *cache.MuxCache }

func newLinear(byType map[string]map[string]types.Resource) linear {
	mux := &cache.MuxCache{
		Classify:      func(r *cache.Request) string { return r.GetTypeUrl() },
		ClassifyDelta: func(r *cache.DeltaRequest) string { return r.GetTypeUrl() },
		Caches:        map[string]cache.Cache{},
	}
	for typeURL, resources := range byType {
		mux.Caches[typeURL] = cache.NewLinearCache(typeURL, cache.WithInitialResources(resources))
	}
	return linear{mux}
}

func (l linear) cache() cache.Cache { return l.mux }

func (l linear) set(_ context.Context, endpoints *endpointv3.ClusterLoadAssignment) error {
	return l.mux.Caches[resource.EndpointType].(*cache.LinearCache).UpdateResource(endpoints.GetClusterName(), endpoints)
}

// snapshot has one snapshot that all nodes are given.
type snapshot struct {
	all     cache.SnapshotCache
	byType  map[string]map[string]types.Resource
	version int
}

// group is the one group that all nodes are in.
type group struct{}

func (group) ID(*corev3.Node) string { return "all" }

func newSnapshot(ctx context.Context, byType map[string]map[string]types.Resource) (*snapshot, error) {
	s := &snapshot{all: cache.NewSnapshotCache(true, group{}, nil), byType: byType}
	return s, s.publish(ctx)
}

func (s *snapshot) cache() cache.Cache { return s.all }

func (s *snapshot) set(ctx context.Context, endpoints *endpointv3.ClusterLoadAssignment) error {
	s.byType[resource.EndpointType][endpoints.GetClusterName()] = endpoints
	return s.publish(ctx)
}

func (s *snapshot) publish(ctx context.Context) error {
	s.version++
	lists := map[resource.Type][]types.Resource{}
	for typeURL, resources := range s.byType {
		for _, one := range resources {
			lists[typeURL] = append(lists[typeURL], one)
		}
	}
	made, err := cache.NewSnapshot(fmt.Sprint(s.version), lists)
	if err != nil {
		return err
	}
	return s.all.SetSnapshot(ctx, "all", made)
}
