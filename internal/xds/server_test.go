package xds_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/heddle-mesh/heddle/internal/xds"
)

// The whole way over real gRPC: subscribe to all clusters, acknowledge, and be
// told of the one that changes.
func TestDeltaClusters(t *testing.T) {
	r := newRig(t, xds.Config{})
	orders, stock := resource(t, xds.TypeCluster, "orders", "v1"), resource(t, xds.TypeCluster, "stock", "v1")
	r.server.Apply(xds.Update{Revision: "1", Put: []*xds.Resource{orders, stock}, Scopes: map[string][]xds.Key{"web": keys(orders, stock)}})

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(r.conn).DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	send := func(request *discoveryv3.DeltaDiscoveryRequest) {
		t.Helper()
		request.TypeUrl = xds.TypeCluster
		if err := stream.Send(request); err != nil {
			t.Fatal(err)
		}
	}
	send(&discoveryv3.DeltaDiscoveryRequest{Node: &corev3.Node{Id: "web/1"}, ResourceNamesSubscribe: []string{"*"}})
	first, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if got := first.GetResources(); len(got) != 2 || got[0].GetName() != "orders" || got[0].GetVersion() != orders.Version || got[1].GetName() != "stock" {
		t.Fatalf("first response: %v", first)
	}
	send(&discoveryv3.DeltaDiscoveryRequest{ResponseNonce: first.GetNonce()})
	eventually(t, "the acknowledgement is in the status", func() bool {
		all := r.server.Status()
		return len(all) == 1 && len(all[0].Types) == 1 && all[0].Types[0].Acknowledged == first.GetSystemVersionInfo()
	})

	stock2 := resource(t, xds.TypeCluster, "stock", "v2")
	r.server.Apply(xds.Update{Revision: "2", Put: []*xds.Resource{orders, stock2}})
	second, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if got := second.GetResources(); len(got) != 1 || got[0].GetName() != "stock" || got[0].GetVersion() != stock2.Version {
		t.Fatalf("second response: %v", second)
	}
	status := r.server.Status()[0]
	if status.Service != "web" || status.Instance != "1" || status.Scope != "web" || status.Transport != "ads-delta" || status.Types[0].BehindSince.IsZero() {
		t.Errorf("status: %+v", status)
	}
}

// slowScopes opens nothing before it is told to, and counts.
type slowScopes struct {
	release        chan struct{}
	opened, closed atomic.Int32
}

func (s *slowScopes) Open(ctx context.Context, _ *corev3.Node) (string, func(), error) {
	select {
	case <-s.release:
		s.opened.Add(1)
		return "web", func() { s.closed.Add(1) }, nil
	case <-ctx.Done():
		return "", nil, ctx.Err()
	}
}

// A stream whose scope is still being opened is shown, can be given up by its
// client and ends with the server; every scope that was opened is closed once.
func TestOpening(t *testing.T) {
	opener := &slowScopes{release: make(chan struct{})}
	r := newRig(t, xds.Config{Scopes: opener})
	ask := func(id string) *client {
		c := r.connect("ads-delta", id)
		c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: xds.TypeCluster})
		eventually(t, id+" is shown", func() bool {
			return slices.ContainsFunc(r.server.Status(), func(s xds.ProxyStatus) bool { return s.Node == id && s.Scope == "" })
		})
		return c
	}
	impatient := ask("web/impatient")
	impatient.cancel()
	eventually(t, "it is gone", func() bool { return len(r.server.Status()) == 0 })

	patient := ask("web/patient")
	opener.release <- struct{}{}
	eventually(t, "it is served", func() bool { return patient.open()[xds.TypeCluster] == 1 })
	patient.cancel()
	eventually(t, "its scope is closed", func() bool { return opener.closed.Load() == 1 })

	waiting := ask("web/waiting")
	defer waiting.cancel()
	if err := r.server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if end := waiting.waitForEnd(t); !strings.Contains(end, "Unavailable") {
		t.Error(end)
	}
	if opener.opened.Load() != 1 || opener.closed.Load() != 1 {
		t.Errorf("%d scopes opened, %d closed", opener.opened.Load(), opener.closed.Load())
	}
}
