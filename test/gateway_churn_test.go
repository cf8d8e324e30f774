package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// edgeLoad asks a gateway for one host without a pause, on connections that it keeps.
type edgeLoad struct {
	requests, refused atomic.Int64
	leaving           atomic.Bool // the gateway's health check says so: no client begins another request
	failures          chan string
	stop              func()
}

// startEdgeLoad starts clients. allowed says whether an answer is right.
func startEdgeLoad(t *testing.T, address, host string, allowed func(status int, body string) bool) *edgeLoad {
	t.Helper()
	l := &edgeLoad{failures: make(chan string, 1000)}
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	l.stop = sync.OnceFunc(func() { cancel(); clients.Wait() })
	t.Cleanup(l.stop)
	for i := range 8 {
		clients.Go(func() {
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}, Timeout: 10 * time.Second}
			defer client.CloseIdleConnections()
			for ctx.Err() == nil && !l.leaving.Load() {
				method := []string{http.MethodGet, http.MethodPost}[i%2]
				request, err := http.NewRequestWithContext(ctx, method, "http://"+address+"/path", strings.NewReader("body"))
				if err != nil {
					panic(err)
				}
				request.Host = host
				response, err := client.Do(request)
				if errors.Is(err, syscall.ECONNREFUSED) {
					l.refused.Add(1) // nothing was taken and lost: a client goes elsewhere
					continue
				}
				var body []byte
				status := 0
				if err == nil {
					status = response.StatusCode
					body, err = io.ReadAll(response.Body)
					response.Body.Close()
				}
				if ctx.Err() != nil {
					return
				}
				l.requests.Add(1)
				if err != nil || !allowed(status, string(body)) {
					select {
					case l.failures <- fmt.Sprintf("%s: %d %q %v", method, status, body, err):
					default:
					}
				}
			}
		})
	}
	return l
}

func (l *edgeLoad) check(t *testing.T) {
	t.Helper()
	l.stop()
	close(l.failures)
	n := 0
	for failure := range l.failures {
		if n++; n <= 5 {
			t.Error(failure)
		}
	}
	t.Logf("%d requests, %d failed, %d refused", l.requests.Load(), n, l.refused.Load())
}

// TestRoutesChangeUnderLoad: weights, backends, rewrites, hosts, other routes and
// services change all the time, and no request fails.
func TestRoutesChangeUnderLoad(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	names := []string{"one", "two", "three"}
	for _, name := range names {
		s.declare(service(name, mesh.HTTP))
		for i := range 2 {
			s.register(name, fmt.Sprint(i), app(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(w, name+" "+r.URL.Path)
			}))
		}
	}
	shop := route("shop", "shop.example.com", "one")
	s.route(shop)
	g := startGateway(t, s)
	g.wants("shop.example.com", "/", http.StatusOK, "one")
	load := startEdgeLoad(t, g.http, "shop.example.com", func(status int, body string) bool {
		name, path, _ := strings.Cut(body, " ")
		return status == http.StatusOK && (name == "one" || name == "two" || name == "three") && (path == "/path" || path == "/v2/path")
	})
	for i := range 60 {
		r := shop
		r.Backends = []mesh.WeightedBackend{{Service: mesh.ServiceName(names[i%3]), Weight: 1 + i}, {Service: mesh.ServiceName(names[(i+1)%3]), Weight: i % 2}}
		r.Match.Path = &mesh.PathMatch{Prefix: "/"}
		switch i % 4 {
		case 1:
			r.Rewrite = "/v2"
		case 2:
			r.Hosts = []string{"shop.example.com", fmt.Sprintf("also-%d.example.com", i)}
		case 3:
			r.Backends = r.Backends[:1]
			r.Mirror = &mesh.RouteMirror{Service: mesh.ServiceName(names[(i+2)%3])}
		}
		s.route(r)
		extra := service(fmt.Sprint("extra-", i%5), mesh.HTTP)
		switch i % 3 {
		case 0:
			s.declare(extra)
			s.route(route("extra", "extra.example.com", string(extra.Name)))
		case 1:
			changed := service(names[i%3], mesh.HTTP)
			changed.Traffic.Timeout = mesh.Duration(time.Duration(i+1) * time.Second)
			s.declare(changed)
		case 2:
			if err := s.client.DeleteRoute(t.Context(), "extra", 0); err != nil {
				t.Error(err)
			}
		}
		before := load.requests.Load()
		heddletest.Eventually(t, "requests to go on", func() error {
			if load.requests.Load() < before+20 {
				return errors.New("they do not")
			}
			return nil
		})
	}
	load.check(t)
	if load.refused.Load() > 0 {
		t.Error("connections were refused")
	}
}

// TestAGatewayLeavesWithoutFailures: one that is told to end says so to the checks
// of load balancers first, takes what still comes, and finishes what it has taken.
func TestAGatewayLeavesWithoutFailures(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.declare(service("orders", mesh.HTTP))
	s.register("orders", "1", app(t, slowly("orders")))
	s.route(route("shop", "shop.example.com", "orders"))
	g := startGateway(t, s)
	g.wants("shop.example.com", "/", http.StatusOK, "orders")
	load := startEdgeLoad(t, g.http, "shop.example.com", func(status int, body string) bool { return status == http.StatusOK && body == "orders" })
	heddletest.Eventually(t, "load", func() error {
		if load.requests.Load() < 100 {
			return errors.New("little")
		}
		return nil
	})
	g.wants("any.example.com", "/.heddle/ready", http.StatusOK, "")
	var checks sync.WaitGroup
	checks.Go(func() {
		for end := time.Now().Add(deadline); time.Now().Before(end) && !load.leaving.Load(); {
			got, err := ask(t, g.http, "any.example.com", "/.heddle/ready")
			load.leaving.Store(err == nil && got.status == http.StatusServiceUnavailable)
		}
	})
	g.End()
	checks.Wait()
	load.check(t)
	if load.refused.Load() > 0 {
		t.Error("connections were refused before the check had failed for a second")
	}
}
