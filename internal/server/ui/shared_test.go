package ui_test

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/server/ui"
)

func TestPagesThatAreAskedForAtOnceShareTheWork(t *testing.T) {
	var asked atomic.Int64
	s := newSite(t, func(c *ui.Config) {
		shared := insight.Shared{Now: time.Now, Make: func() insight.Observed {
			asked.Add(1)
			return insight.Observed{Edges: []mesh.Edge{{Caller: "web", Callee: "orders", Requests: 1, FirstSeen: time.Now(), LastSeen: time.Now()}}}
		}}
		c.Observed = func(context.Context) (insight.Observed, error) { return shared.Get(), nil }
	})
	s.declare(mesh.Service{Name: "orders"}, mesh.Service{Name: "web", Dependencies: []mesh.ServiceName{"orders"}})
	began := time.Now()
	var all sync.WaitGroup
	for range 50 {
		for _, path := range []string{"/ui/services/web", "/ui/topology", "/ui/topology?focus=web", "/ui/topology.svg"} {
			all.Go(func() {
				if got := s.get("", path); got.status != http.StatusOK {
					t.Errorf("%s: %d %s", path, got.status, got.body)
				}
			})
		}
	}
	all.Wait()
	if seconds := int64(time.Since(began)/time.Second) + 2; asked.Load() > seconds {
		t.Errorf("200 pages in %d seconds asked %d times what was seen", seconds, asked.Load())
	}
}
