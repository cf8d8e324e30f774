package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	heddlev1 "github.com/heddle-mesh/heddle/api/heddle/v1"
	"github.com/heddle-mesh/heddle/internal/otlptest"
	"github.com/heddle-mesh/heddle/internal/xds"
)

// acknowledging plays a sidecar that takes whatever it is sent, until the test ends.
func acknowledging(t *testing.T, address, node string) {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var stream grpc.BidiStreamingClient[discoveryv3.DeltaDiscoveryRequest, discoveryv3.DeltaDiscoveryResponse]
	acknowledge := func() error {
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		return stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce()})
	}
	await(t, "the server to know of "+node, func() bool {
		if stream, err = discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx); err != nil {
			t.Fatal(err)
		}
		_ = stream.Send(&discoveryv3.DeltaDiscoveryRequest{Node: &corev3.Node{Id: node}, TypeUrl: xds.TypeCluster, ResourceNamesSubscribe: []string{"*"}}) // why it failed is what Recv says
		err = acknowledge()
		return err == nil
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for acknowledge() == nil { //nolint:revive // until the test ends
		}
	}()
	t.Cleanup(func() { cancel(); _ = conn.Close(); <-done })
}

// TestAWriteIsFollowedToEachProxy has two servers on one etcd, each with a proxy: the
// trace that a client begins holds the write, etcd's transaction, and what each server
// did until its proxy had acknowledged.
func TestAWriteIsFollowedToEachProxy(t *testing.T) {
	receiver := otlptest.Start(t)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	server := func(name string, more ...string) map[string]string {
		args := append([]string{"--log-level", "error", "server", "--listen", "127.0.0.1:0", "--xds-listen", "127.0.0.1:0", "--ready-file", file(name),
			"--admin-token-file", file("token"), "--tracing-endpoint", receiver.Address(), "--tracing-sample", "0"}, more...)
		return awaitReady(t, start(args...), file(name))
	}
	one := server("one.json", "--data-dir", file("data"))
	two := server("two.json", "--etcd-endpoints", "unix://"+file("data/etcd.sock"))
	token, err := os.ReadFile(file("token"))
	if err != nil {
		t.Fatal(err)
	}
	put := func(traceparent, name, body string) (followed, stored string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, one["rest"]+"/api/v1/services/"+name, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		r.Header.Set("Content-Type", "application/json")
		if traceparent != "" {
			r.Header.Set("Traceparent", traceparent)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		said, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode >= 300 {
			t.Fatalf("%s: %v: %s", answer.Status, err, said)
		}
		return answer.Header.Get("X-Trace-Id"), string(said)
	}
	service := func(name, dependencies string) string {
		return `{"name": "` + name + `", "owner": "t", "protocol": "http", "port": 80, "dependencies": [` + dependencies + `]}`
	}
	if trace, _ := put("", "web", service("web", "")); trace != "" {
		t.Errorf("a write that nobody follows has the trace %q", trace)
	}
	put("", "orders", service("orders", ""))
	acknowledging(t, one["xds"], "web/1")
	acknowledging(t, two["xds"], "web/2")

	const trace = "0af7651916cd43dd8448eb211c80319c"
	said, stored := put("00-"+trace+"-b7ad6b7169203331-01", "web", service("web", `"orders"`))
	if said != trace {
		t.Errorf("the answer names the trace %q", said)
	}
	if strings.Contains(stored, trace) {
		t.Errorf("the answer shows what servers alone are told, and an older one would refuse it: %s", stored)
	}
	named := func(name string) (found []otlptest.Span) {
		for _, s := range receiver.Spans() {
			if s.Trace == trace && s.Name == name {
				found = append(found, s)
			}
		}
		return found
	}
	await(t, "the spans of both servers", func() bool { return len(named("push")) == 2 })
	write := named("PUT /api/v1/services/{name}")
	if len(write) != 1 || write[0].Parent != "b7ad6b7169203331" || write[0].Service != "heddle-server" || write[0].Attributes["http.response.status_code"] != "200" {
		t.Fatalf("the write: %+v of %+v", write, receiver.Spans())
	}
	for name, want := range map[string]int{"etcd transaction": 2 /* what is there, then the write */, "watch": 2, "catalog": 2, "translate": 2, "push": 2} {
		spans := named(name)
		if len(spans) != want || slices.ContainsFunc(spans, func(s otlptest.Span) bool { return s.Parent != write[0].ID }) {
			t.Errorf("%s: %+v", name, spans)
		}
	}
	var acked []string
	for _, s := range named("ack") {
		acked = append(acked, s.Attributes["heddle.node"]+" "+s.Attributes["heddle.type"])
		if !slices.ContainsFunc(named("push"), func(p otlptest.Span) bool { return p.ID == s.Parent }) {
			t.Errorf("an answer is below no push: %+v", s)
		}
	}
	slices.Sort(acked)
	if !slices.Equal(acked, []string{"web/1 cds", "web/2 cds"}) {
		t.Errorf("answers %v", acked)
	}

	for name, token := range map[string]string{"no token": "", "a wrong one": "hdl_1_2"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, one["rest"]+"/api/v1/services/web", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Traceparent", "00-"+trace+"-b7ad6b7169203331-01")
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if got := answer.Header.Get("X-Trace-Id"); answer.StatusCode != http.StatusUnauthorized || got != "" {
			t.Errorf("%s: %s, followed as %q", name, answer.Status, got)
		}
	}

	conn, err := grpc.NewClient(one["xds"], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stranger := metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-"+trace+"-b7ad6b7169203331-01")
	var header metadata.MD
	if _, err := heddlev1.NewServiceServiceClient(conn).DeleteService(stranger, &heddlev1.DeleteServiceRequest{Name: "web"}, grpc.Header(&header)); err == nil || len(header.Get("x-trace-id")) > 0 {
		t.Errorf("a stranger over gRPC: %v, followed as %q", err, header.Get("x-trace-id"))
	}
	const other = "1af7651916cd43dd8448eb211c80319c"
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+string(bytes.TrimSpace(token)), "traceparent", "00-"+other+"-b7ad6b7169203331-01")
	if _, err := heddlev1.NewServiceServiceClient(conn).DeleteService(ctx, &heddlev1.DeleteServiceRequest{Name: "orders"}, grpc.Header(&header)); err != nil && !strings.Contains(err.Error(), "web") {
		t.Fatal(err)
	}
	if got := header.Get("x-trace-id"); !slices.Equal(got, []string{other}) {
		t.Errorf("the answer over gRPC names the traces %q", got)
	}
	await(t, "the span of a gRPC call", func() bool {
		return slices.ContainsFunc(receiver.Spans(), func(s otlptest.Span) bool {
			return s.Trace == other && s.Name == "heddle.v1.ServiceService/DeleteService"
		})
	})
}
