package translate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc"

	"github.com/heddle-mesh/heddle/internal/accesslog"
	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/translate"
)

// taker takes the reports of an Envoy, all of them as web's.
func taker(t *testing.T) (address string, seen func(callee string) mesh.Edge) {
	t.Helper()
	table := accesslog.NewTable(time.Now, func(string) bool { return true })
	keeper := accesslog.NewKeeper(accesslog.KeeperConfig{Table: table, Now: time.Now, Connected: func(func(string, bool)) {}})
	service := accesslog.NewService(table, func(context.Context, *corev3.Node) (string, bool, error) { return "web", true, nil }, nil, nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	service.Register(g)
	done := make(chan struct{})
	go func() { defer close(done); _ = g.Serve(listener) }()
	t.Cleanup(func() { service.Stop(); g.Stop(); <-done })
	return listener.Addr().String(), func(callee string) mesh.Edge {
		for _, one := range accesslog.Edges(keeper.Sightings()) {
			if one.Callee == callee {
				return one
			}
		}
		return mesh.Edge{}
	}
}

// reportingTo has a bootstrap's Envoy report to an address, and tell every 0.2 s of
// what goes on.
func reportingTo(t *testing.T, bootstrap []byte, address string) []byte {
	t.Helper()
	ip, port := splitAddress(t, address)
	var document map[string]any
	often := bytes.ReplaceAll(bootstrap, []byte(`"600s"`), []byte(`"0.200s"`))
	if bytes.Equal(often, bootstrap) {
		t.Fatal("nothing is told again of what goes on")
	}
	if err := json.Unmarshal(often, &document); err != nil {
		t.Fatal(err)
	}
	for _, one := range document["staticResources"].(map[string]any)["clusters"].([]any) {
		c := one.(map[string]any)
		if c["name"] != mesh.ControlPlaneCluster {
			continue
		}
		c["loadAssignment"] = map[string]any{"clusterName": mesh.ControlPlaneCluster, "endpoints": []any{map[string]any{"lbEndpoints": []any{
			map[string]any{"endpoint": map[string]any{"address": map[string]any{"socketAddress": map[string]any{"address": ip, "portValue": port}}}},
		}}}}
		c["typedExtensionProtocolOptions"] = map[string]any{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": map[string]any{
			"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions", "explicitHttpConfig": map[string]any{"http2ProtocolOptions": map[string]any{}},
		}}
	}
	out, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestWhatGoesOnIsSeenAndCountedOnce: a connection out of a pool that stays open, and
// a request without an end, are told of again and again by a real Envoy, so that they
// do not count as unused; and each counts as one.
func TestWhatGoesOnIsSeenAndCountedOnce(t *testing.T) {
	address, seen := taker(t)
	ledger, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ledger.Close()
	end := make(chan struct{})
	orders := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-end
	}))
	defer orders.Close()
	ledgerIP, ledgerPort := splitAddress(t, ledger.Addr().String())
	ordersIP, ordersPort := splitAddress(t, orders.Listener.Addr().String())
	in := &input{
		Proxy:    mesh.Proxy{Service: "web", Instance: "web-1"},
		Services: []mesh.Service{service("web", mesh.HTTP, "orders", "ledger"), service("orders", mesh.HTTP), service("ledger", mesh.TCP)},
		Instances: []mesh.Instance{
			instanceAt("orders", "orders-1", ordersIP, ordersPort), instanceAt("ledger", "ledger-1", ledgerIP, ledgerPort),
		},
	}
	in.check(t)
	scope := translate.ScopeOf(in.Proxy)
	resources, _ := translate.Build(in.view(), scope, in.trust())
	web := &sidecar{envoytest.Start(t, reportingTo(t, onFreePorts(t, static(t, resources)), address)), scope}

	await := func(what, callee string, fits func(mesh.Edge) bool) mesh.Edge {
		t.Helper()
		deadline := time.Now().Add(30 * time.Second)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ; time.Now().Before(deadline); <-tick.C {
			if one := seen(callee); fits(one) {
				return one
			}
		}
		t.Fatalf("%s: %s is not seen so: %+v", what, callee, seen(callee))
		return mesh.Edge{}
	}
	goesOn := func(callee string, requests uint64) {
		t.Helper()
		last := await("at first", callee, func(e mesh.Edge) bool { return !e.LastSeen.IsZero() })
		for range 3 {
			last = await("again", callee, func(e mesh.Edge) bool { return e.LastSeen.After(last.LastSeen) })
		}
		if last.Requests != requests || last.Errors != 0 {
			t.Errorf("%s goes on, and is %+v", callee, last)
		}
	}

	connection, err := net.Dial("tcp", web.own(t, "ledger"))
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ledger.Accept()
	if err != nil {
		t.Fatal(err)
	}
	goesOn("ledger", 1)
	before := seen("ledger").LastSeen
	_, _ = connection.Close(), accepted.Close()
	await("at its end", "ledger", func(e mesh.Edge) bool { return e.LastSeen.After(before) })
	if got := seen("ledger"); got.Requests != 1 || got.Errors != 0 || got.LastAnswered.IsZero() {
		t.Errorf("a connection that was closed is %+v", got)
	}

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+web.outbound(t)+"/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "orders"
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	goesOn("orders", 0) // it counts once it ends, when its answer is known
	close(end)
	_, _ = io.Copy(io.Discard, response.Body)
	if got := await("at its end", "orders", func(e mesh.Edge) bool { return e.Requests > 0 }); got.Requests != 1 || got.LastAnswered.IsZero() {
		t.Errorf("a request that ended is %+v", got)
	}
}
