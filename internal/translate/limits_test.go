package translate_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestWhatGoesOverTheCircuitBreakerIsRefusedAtOnce(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	orders := service("orders", mesh.HTTP)
	orders.Traffic.CircuitBreaker = &mesh.CircuitBreaker{MaxRequests: 1}
	ip, port := application(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(arrived)
			<-release
		}
	})
	finish := sync.OnceFunc(func() { close(release) })
	t.Cleanup(finish) // before the application is closed, which waits for its requests
	web := startSidecar(t, &input{
		Proxy:     mesh.Proxy{Service: "web", Instance: "web-1"},
		Services:  []mesh.Service{service("web", mesh.HTTP, "orders"), orders},
		Instances: []mesh.Instance{instanceAt("orders", "orders-1", ip, port)},
	})
	first := make(chan answer)
	go func() { first <- call(t, web.outbound(t), "orders", "/slow", nil) }()
	<-arrived
	got := call(t, web.outbound(t), "orders", "/", nil)
	if got.status != 503 || got.header.Get("X-Envoy-Overloaded") != "true" || !strings.Contains(got.body, "overflow") {
		t.Errorf("over the limit: got %d %s %v", got.status, got.body, got.header)
	}
	finish()
	if got := <-first; got.status != 200 {
		t.Errorf("within the limit: got %d %s", got.status, got.body)
	}
	if got := call(t, web.outbound(t), "orders", "/", nil); got.status != 200 {
		t.Errorf("after it: got %d %s", got.status, got.body)
	}
}

func TestInstancesThatKeepFailingAreLeftOutForAWhile(t *testing.T) {
	orders := service("orders", mesh.HTTP)
	orders.Traffic.OutlierDetection = &mesh.OutlierDetection{
		ConsecutiveErrors: 2, Interval: mesh.Duration(50 * time.Millisecond), BaseEjectionTime: mesh.Duration(2 * time.Second),
	}
	in := &input{Proxy: mesh.Proxy{Service: "web", Instance: "web-1"}, Services: []mesh.Service{service("web", mesh.HTTP, "orders"), orders}}
	for _, status := range []int{200, 200, 500} {
		ip, port := application(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		in.Instances = append(in.Instances, instanceAt("orders", mesh.InstanceID("orders-"+string(rune('a'+len(in.Instances)))), ip, port))
	}
	web := startSidecar(t, in)
	failed := 0
	for range 30 {
		if call(t, web.outbound(t), "orders", "/", nil).status != 200 {
			failed++
		}
	}
	if failed != 2 {
		t.Errorf("%d of 30 requests failed; the third in a row should have gone elsewhere", failed)
	}
	eventually(t, "the ejected instance is tried again", func() bool { return call(t, web.outbound(t), "orders", "/", nil).status == 500 })
}
