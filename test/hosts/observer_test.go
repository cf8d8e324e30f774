package hosts_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/heddle-mesh/heddle/internal/xds"
)

// observer is what a host's proxy would be: it is told by its agent where services are.
type observer struct {
	stop func()

	mu     sync.Mutex
	held   map[string][]string // guarded by mu: by service, host:port
	losses []string            // guarded by mu: copies that went
	fewest map[string]int      // guarded by mu: copies that a service had at the least
	told   func()              // guarded by mu
}

func observe(t testing.TB, n namespace, address string) *observer {
	t.Helper()
	connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return n.dial("tcp", address) }))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	o := &observer{held: map[string][]string{}, fewest: map[string]int{}}
	var done sync.WaitGroup
	o.stop = sync.OnceFunc(func() { cancel(); _ = connection.Close(); done.Wait() })
	t.Cleanup(o.stop)
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(connection).DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{
		Node: &corev3.Node{Id: "heddle-host/observer"}, TypeUrl: xds.TypeEndpoint, ResourceNamesSubscribe: []string{"*"},
	}); err != nil {
		t.Fatal(err)
	}
	done.Go(func() {
		for {
			response, err := stream.Recv()
			if err != nil {
				return
			}
			o.take(response)
			if stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce()}) != nil {
				return
			}
		}
	})
	return o
}

func (o *observer) take(r *discoveryv3.DeltaDiscoveryResponse) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, one := range r.GetResources() {
		var endpoints endpointv3.ClusterLoadAssignment
		if err := one.GetResource().UnmarshalTo(&endpoints); err != nil {
			panic(err)
		}
		list := []string{}
		for _, group := range endpoints.GetEndpoints() {
			for _, e := range group.GetLbEndpoints() {
				at := e.GetEndpoint().GetAddress().GetSocketAddress()
				list = append(list, fmt.Sprintf("%s:%d", at.GetAddress(), at.GetPortValue()))
			}
		}
		o.set(one.GetName(), list)
	}
	for _, name := range r.GetRemovedResources() {
		o.set(name, nil)
	}
	if o.told != nil {
		o.told()
	}
}

// set notes what is told of a service. o.mu is held.
func (o *observer) set(service string, list []string) {
	slices.Sort(list)
	for _, one := range o.held[service] {
		if !slices.Contains(list, one) {
			o.losses = append(o.losses, service+" at "+one)
		}
	}
	if fewest, there := o.fewest[service]; !there || len(list) < fewest {
		o.fewest[service] = len(list)
	}
	if o.held[service] = list; len(list) == 0 {
		delete(o.held, service)
	}
}

// since forgets what was lost so far.
func (o *observer) since() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.losses = nil
	clear(o.fewest)
}

// differs says what is told otherwise than it is.
func (o *observer) differs(want map[string][]string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for name, list := range want {
		if !slices.Equal(list, o.held[name]) {
			return fmt.Errorf("%s has %d copies, and is told to have %d: %s", name, len(list), len(o.held[name]), strings.Join(o.held[name], " "))
		}
	}
	for name := range o.held {
		if _, there := want[name]; !there {
			return fmt.Errorf("%s is told, and nobody runs it: %v", name, slices.Collect(maps.Keys(want)))
		}
	}
	return nil
}

// has waits until a service has a copy somewhere, and says when it was told.
func (o *observer) has(service, copied string, patience time.Duration) (time.Time, error) {
	told := make(chan time.Time, 1)
	look := func() {
		if slices.Contains(o.held[service], copied) {
			select {
			case told <- time.Now():
			default:
			}
		}
	}
	o.mu.Lock()
	o.told = look
	look()
	o.mu.Unlock()
	select {
	case at := <-told:
		return at, nil
	case <-time.After(patience):
		return time.Time{}, fmt.Errorf("%s at %s is not told within %v", service, copied, patience)
	}
}
