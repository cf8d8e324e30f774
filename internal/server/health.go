package server

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// readyCache is how long an answer of etcd counts as recent.
const readyCache = time.Second

// readiness remembers etcd's last answer, so that frequent probes of many
// balancers cost etcd one question a second.
type readiness struct {
	mu    sync.Mutex
	asked time.Time // guarded by mu
	err   error     // guarded by mu
}

// Alive is the answer of the health endpoints.
type Alive struct {
	Status string `json:"status" enum:"live,ready"`
}

type aliveAnswer struct {
	Body Alive
}

func (s *Server) healthEndpoints() {
	register(s, operation{method: http.MethodGet, path: "/livez", tag: "health", id: "live", summary: "Whether the process works"}, func(context.Context, *struct{}) (*aliveAnswer, error) {
		return &aliveAnswer{Body: Alive{Status: "live"}}, nil
	})
	register(s, operation{
		method: http.MethodGet, path: "/readyz", tag: "health", id: "ready", summary: "Whether the server serves",
		description: "Once the whole mesh is known, and as long as etcd answers; 503 says why not.",
	}, func(ctx context.Context, _ *struct{}) (*aliveAnswer, error) {
		if err := s.isReady(ctx); err != nil {
			return nil, err
		}
		return &aliveAnswer{Body: Alive{Status: "ready"}}, nil
	})
	if s.cfg.Metrics != nil {
		s.operations["GET /metrics"] = "metrics"
		s.mux.Handle("GET /metrics", s.cfg.Metrics)
	}
}

func (s *Server) isReady(ctx context.Context) error {
	if !s.cfg.Catalog.View().Synced() {
		return mesh.Unavailable(nil, "not ready: the mesh has not been read from etcd yet")
	}
	if err := s.ready.etcd(ctx, s.cfg.Registry.Ping); err != nil {
		return mesh.Unavailable(nil, "not ready: etcd does not answer; what is known stays in force, writes are refused")
	}
	if s.cfg.Ready != nil {
		if err := s.cfg.Ready(); err != nil {
			return mesh.Unavailable(nil, "not ready: %s", err)
		}
	}
	return nil
}

// etcd asks unless it has done so just now. The lock is not held while it asks.
func (r *readiness) etcd(ctx context.Context, ping func(context.Context) error) error {
	r.mu.Lock()
	fresh, err := time.Since(r.asked) < readyCache, r.err
	r.mu.Unlock()
	if fresh {
		return err
	}
	err = ping(context.WithoutCancel(ctx)) // a probe that gives up must not make the next one fail; Ping has its own timeout
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked, r.err = time.Now(), err
	return err
}
