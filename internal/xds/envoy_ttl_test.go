package xds_test

import (
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/xds"
)

// A real Envoy keeps a runtime layer with a TTL for as long as heartbeats come,
// is without it once it has lost its server for that long, keeps everything else,
// and has it again when a server is back.
func TestEnvoyForgetsRuntimeWithTTL(t *testing.T) {
	envoytest.Path(t)
	for _, api := range []string{"DELTA_GRPC", "GRPC"} {
		t.Run(api, func(t *testing.T) { forgetRuntime(t, api) })
	}
}

func forgetRuntime(t *testing.T, api string) {
	const ttl = time.Second
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	layer := expiring(t, xds.TypeRuntime, "heddle", "a.test.key", ttl)
	w := &envoyWorld{t: t, members: map[xds.Key]*xds.Resource{keys(layer)[0]: layer}}
	all := w.update(nil, edsCluster("one", time.Second), endpoints("one", backend(t, "first")), httpListener(t), routes("one"))
	server, stop := serveTCP(t, listener)
	server.Apply(all)
	envoy := envoytest.Start(t, runtimeBootstrap(t, api, address))
	has := func() bool { return strings.Contains(envoy.Get(t, "/runtime"), "a.test.key") }
	load := startLoad(t, envoy.Listener(t, "out"))
	load.expect("first")
	eventually(t, "Envoy has the layer", has)

	for end := time.Now().Add(3 * ttl); time.Now().Before(end); <-time.After(ttl / 10) {
		if !has() {
			t.Fatal("Envoy lost the layer although heartbeats came")
		}
	}
	if s := statusOf(server, xds.TypeRuntime); s.Responses != 1 || s.Nacks != 0 {
		t.Errorf("%d responses with the layer, %d refused; want 1 and none", s.Responses, s.Nacks)
	}

	stop()
	cut := time.Now()
	eventually(t, "Envoy forgets the layer", func() bool { return !has() })
	if after := time.Since(cut); after < ttl/3 {
		t.Errorf("it forgot it after %s already", after)
	}
	load.last.Store("")
	load.expect("first")

	if listener, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	server, stop = serveTCP(t, listener)
	defer stop()
	server.Apply(all)
	eventually(t, "Envoy has the layer again", has)
	load.stop()
}

// runtimeBootstrap is envoyBootstrap for an Envoy that asks for a runtime layer.
func runtimeBootstrap(t *testing.T, api, address string) []byte {
	var bootstrap map[string]any
	if err := json.Unmarshal(envoyBootstrap(t, api, address), &bootstrap); err != nil {
		t.Fatal(err)
	}
	bootstrap["node"].(map[string]any)["client_features"] = []string{"xds.config.supports-resource-ttl", "xds.config.resource-in-sotw"}
	bootstrap["layered_runtime"] = map[string]any{"layers": []any{map[string]any{"name": "heddle", "rtds_layer": map[string]any{
		"name": "heddle", "rtds_config": map[string]any{"ads": map[string]any{}, "resource_api_version": "V3"}}}}}
	out, err := json.Marshal(bootstrap)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
