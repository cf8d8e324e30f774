package agent

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/heddle-mesh/heddle/internal/xds"
)

// stream is a delta ADS client that subscribes to all there is, acknowledges, and keeps
// what it was sent.
type stream struct {
	mu     sync.Mutex
	held   map[string]map[string][]byte // guarded by mu: by type and name
	pushes map[string][]time.Time       // guarded by mu: of responses, by type
	warm   map[string]bool              // guarded by mu: clusters that wait for endpoints
	faults []string                     // guarded by mu
	close  func()
}

var streamed = []string{xds.TypeCluster, xds.TypeEndpoint, xds.TypeListener, xds.TypeRoute}

func connect(t *testing.T, address string) *stream {
	t.Helper()
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ads, err := discoveryv3.NewAggregatedDiscoveryServiceClient(connection).DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{held: map[string]map[string][]byte{}, pushes: map[string][]time.Time{}, warm: map[string]bool{}}
	for i, kind := range streamed {
		s.held[kind] = map[string][]byte{}
		ask := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: kind, ResourceNamesSubscribe: []string{"*"}}
		if i == 0 {
			ask.Node = &corev3.Node{Id: string(HostProxy) + "/observer"}
		}
		if err := ads.Send(ask); err != nil {
			t.Fatal(err)
		}
	}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			response, err := ads.Recv()
			if err != nil {
				return
			}
			s.take(response, time.Now())
			if ads.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce()}) != nil {
				return
			}
		}
	})
	s.close = sync.OnceFunc(func() { cancel(); _ = connection.Close(); done.Wait() })
	t.Cleanup(s.close)
	return s
}

func (s *stream) take(r *discoveryv3.DeltaDiscoveryResponse, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := r.GetTypeUrl()
	held, first := s.held[kind], len(s.pushes[kind]) == 0
	s.pushes[kind] = append(s.pushes[kind], at)
	if !first && len(r.GetResources())+len(r.GetRemovedResources()) == 0 {
		s.faults = append(s.faults, "a response of "+kind+" says nothing")
	}
	for _, one := range r.GetResources() {
		body := one.GetResource().GetValue()
		// Envoy takes a changed cluster into use behind its endpoints, changed or not.
		awaited := kind == xds.TypeEndpoint && s.warm[one.GetName()]
		if old, there := held[one.GetName()]; there && bytes.Equal(old, body) && !awaited {
			s.faults = append(s.faults, fmt.Sprintf("%s %q is sent again, and has not changed", kind, one.GetName()))
		}
		held[one.GetName()] = body
		switch kind {
		case xds.TypeCluster:
			s.warm[one.GetName()] = true
		case xds.TypeEndpoint:
			delete(s.warm, one.GetName())
		}
	}
	for _, name := range r.GetRemovedResources() {
		if _, there := held[name]; !there {
			s.faults = append(s.faults, fmt.Sprintf("%s %q is taken away, and was not there", kind, name))
		}
		delete(held, name)
	}
}

// differs says what another stream has that this one has not as well.
func (s *stream) differs(other map[string]map[string][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, kind := range streamed {
		have, want := s.held[kind], other[kind]
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if body, there := have[name]; !there {
				return fmt.Errorf("%s %q is missing", kind, name)
			} else if !bytes.Equal(body, want[name]) {
				return fmt.Errorf("%s %q is another one:\n%q\nand not\n%q", kind, name, body, want[name])
			}
		}
		for name := range have {
			if _, there := want[name]; !there {
				return fmt.Errorf("%s %q is too many", kind, name)
			}
		}
	}
	return nil
}

// count is how many responses came so far.
func (s *stream) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := 0
	for _, list := range s.pushes {
		sum += len(list)
	}
	return sum
}

// tooOften says where more pushes came in a while than one an interval and a burst; late
// is by how much a machine that is busy may shift one.
func tooOften(at []time.Time, interval, late time.Duration) error {
	for i := range at {
		for j := i + burst; j < len(at); j++ {
			took := at[j].Sub(at[i])
			if most := burst + int((took+late)/interval); j-i+1 > most {
				return fmt.Errorf("%d pushes within %v, and at most %d may be", j-i+1, took, most)
			}
		}
	}
	return nil
}
