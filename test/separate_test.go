package test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// TestAnEnvoyOnTheSeparateServices: clusters, listeners and the runtime layer
// come from CDS, LDS and RTDS, each on a stream of its own, by delta and by
// state of the world. Endpoints and routes stay on ADS, because their source is
// written inside the clusters and listeners.
func TestAnEnvoyOnTheSeparateServices(t *testing.T) {
	t.Parallel()
	for _, variant := range []string{"GRPC", "DELTA_GRPC"} {
		t.Run(variant, func(t *testing.T) {
			t.Parallel()
			envoytest.Path(t)
			s := startServer(t)
			s.declare(service("orders", mesh.HTTP), service("web", mesh.HTTP, "orders"))
			s.register("orders", "a", app(t, says("from a")))
			port := heddletest.FreePort(t)
			bootstrap, err := proxy.Bootstrap(proxy.BootstrapConfig{
				Proxy: mesh.Proxy{Service: "web", Instance: "1", OutboundPort: port}, XDS: []string{s.xds},
			})
			if err != nil {
				t.Fatal(err)
			}
			side := &sidecar{Envoy: envoytest.Start(t, separate(t, bootstrap, variant)), outbound: heddletest.Loopback(port)}
			side.wants(t, "orders", "/", http.StatusOK, "from a")
			if _, err := s.client.PutRuntime(t.Context(), mesh.Runtime{Values: map[string]any{"heddle.test.separate": true}}); err != nil {
				t.Fatal(err)
			}
			heddletest.Eventually(t, "RTDS to bring the runtime value", func() error {
				if !strings.Contains(side.Get(t, "/runtime"), "heddle.test.separate") {
					return errors.New("it is not there")
				}
				return nil
			})
			s.declare(service("stock", mesh.HTTP), service("web", mesh.HTTP, "orders", "stock"))
			s.register("stock", "a", app(t, says("stock here")))
			side.wants(t, "stock", "/", http.StatusOK, "stock here")
			proxies, err := s.client.Proxies(t.Context())
			if err != nil || len(proxies) != 4 { // ADS, CDS, LDS, RTDS
				t.Errorf("status shows %d streams, want 4: %+v, %v", len(proxies), proxies, err)
			}
		})
	}
}

// separate rewrites a bootstrap's configuration sources.
func separate(t *testing.T, bootstrap []byte, variant string) []byte {
	t.Helper()
	var whole map[string]any
	if err := json.Unmarshal(bootstrap, &whole); err != nil {
		t.Fatal(err)
	}
	source := map[string]any{
		"resource_api_version": "V3",
		"api_config_source": map[string]any{
			"api_type": variant, "transport_api_version": "V3",
			"grpc_services": []any{map[string]any{"envoy_grpc": map[string]any{"cluster_name": "xds_cluster"}}},
		},
	}
	dynamic := whole["dynamic_resources"].(map[string]any)
	dynamic["cds_config"], dynamic["lds_config"] = source, source
	for _, layer := range whole["layered_runtime"].(map[string]any)["layers"].([]any) {
		if rtds, is := layer.(map[string]any)["rtds_layer"].(map[string]any); is {
			rtds["rtds_config"] = source
		}
	}
	data, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
