package xds_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/heddle-mesh/heddle/internal/xds"
)

// countingScopes takes long to open the scopes of nodes named "slow/…", and counts how
// many it is opening.
type countingScopes struct {
	scopes
	now, most atomic.Int32
}

func (s *countingScopes) Open(ctx context.Context, node *corev3.Node) (string, func(), error) {
	if n := s.now.Add(1); n > s.most.Load() {
		s.most.Store(n)
	}
	defer s.now.Add(-1)
	if strings.HasPrefix(node.GetId(), "slow/") {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
		return "web", func() {}, nil
	}
	return s.scopes.Open(ctx, node)
}

// However many proxies come at once, a few are opened at a time, all get their
// turn, and those that are served hear of changes meanwhile.
func TestStormOfStreamsOpensAFewAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opener := &countingScopes{}
		r := newRig(t, xds.Config{Scopes: opener, Opening: 4})
		defer r.close()
		orders := resource(t, xds.TypeCluster, "orders", "v1")
		r.server.Apply(xds.Update{Put: []*xds.Resource{orders}, Scopes: map[string][]xds.Key{"web": keys(orders)}})
		ask := func(node string) *client {
			c := r.connect("ads-delta", node)
			c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: xds.TypeCluster, ResourceNamesSubscribe: []string{"*"}})
			return c
		}
		served := ask("web/1")
		defer served.cancel()
		synctest.Wait()
		served.taken()

		var storm []*client
		for i := range 40 {
			storm = append(storm, ask(fmt.Sprint("slow/", i)))
			defer storm[i].cancel()
		}
		synctest.Wait()
		r.server.Apply(xds.Update{Put: []*xds.Resource{resource(t, xds.TypeCluster, "orders", "v2")}})
		synctest.Wait()
		if got := served.taken(); len(got) != 1 {
			t.Errorf("the proxy that is served was sent %d responses while others waited, want 1", len(got))
		}
		began := time.Now()
		for _, c := range storm {
			for len(c.open()) == 0 && time.Since(began) < 10*time.Second {
				time.Sleep(10 * time.Millisecond)
			}
			if len(c.open()) == 0 {
				t.Fatal("a stream never got its turn")
			}
		}
		if took := time.Since(began); took > 1100*time.Millisecond || opener.most.Load() != 4 {
			t.Errorf("40 streams of 100 ms took %s, %d at a time at most; want 1 s, 4 at a time", took, opener.most.Load())
		}
	})
}

// A client that takes long, or that needs nothing, does not keep others from
// opening.
func TestTurnsToOpenEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, xds.Config{Opening: 1})
		defer r.close()
		orders := resource(t, xds.TypeCluster, "orders", "v1")
		r.server.Apply(xds.Update{Put: []*xds.Resource{orders}, Scopes: map[string][]xds.Key{"web": keys(orders)}})
		began := time.Now()
		for i := range 20 { // all of them know what there is
			c := r.connect("ads-delta", fmt.Sprint("web/", i))
			defer c.cancel()
			c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: xds.TypeCluster, ResourceNamesSubscribe: []string{"orders"},
				InitialResourceVersions: map[string]string{"orders": orders.Version}})
			synctest.Wait()
		}
		if n := len(r.server.Status()); n != 20 || time.Since(began) > 0 {
			t.Errorf("%d of 20 streams were opened after %s", n, time.Since(began))
		}
		silent := r.connect("ads-sotw", "web/silent") // it asks for nothing that is served
		defer silent.cancel()
		silent.send(&discoveryv3.DiscoveryRequest{TypeUrl: "type.googleapis.com/unheard.of"})
		synctest.Wait()
		last := r.connect("ads-delta", "web/last")
		defer last.cancel()
		last.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: xds.TypeCluster, ResourceNamesSubscribe: []string{"*"}})
		synctest.Wait()
		if len(last.open()) != 0 {
			t.Error("two streams were opened at a time")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if len(last.open()) == 0 {
			t.Error("a silent client keeps others from opening")
		}
	})
}

// A server that ends sends its proxies to others over a while.
func TestShutdownSpreadsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, xds.Config{})
		defer r.close()
		var clients []*client
		for i := range 200 {
			c := r.connect("ads-delta", fmt.Sprint("web/", i))
			defer c.cancel()
			c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: xds.TypeCluster, ResourceNamesSubscribe: []string{"*"}})
			clients = append(clients, c)
		}
		synctest.Wait()
		began := time.Now()
		ended := make(chan error, 1)
		go func() { ended <- r.server.Shutdown(t.Context()) }()
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		left := len(r.server.Status())
		if left < 50 || left > 150 {
			t.Errorf("%d of 200 streams are there at half time; about half of them should be", left)
		}
		if err := <-ended; err != nil || time.Since(began) > 200*time.Millisecond {
			t.Errorf("shutdown took %s: %v", time.Since(began), err)
		}
		synctest.Wait()
		for _, c := range clients {
			if got := c.taken(); !strings.Contains(got[len(got)-1].end, "Unavailable") {
				t.Fatalf("a stream ended with %q", got[len(got)-1].end)
			}
		}
	})
}
