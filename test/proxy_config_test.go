package test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// TestWhatAProxyHas: what the server tells of a real Envoy is what that Envoy says
// itself, names and versions; what it refuses is told with its words and the author,
// by the API and on the pages.
func TestWhatAProxyHas(t *testing.T) {
	t.Parallel()
	envoytest.Path(t)
	s := startServer(t)
	s.declare(service("orders", mesh.HTTP), service("stock", mesh.HTTP), service("web", mesh.HTTP, "orders", "stock"))
	s.register("orders", "a", app(t, says("from a")))
	port := heddletest.FreePort(t)
	bootstrap, err := proxy.Bootstrap(proxy.BootstrapConfig{Proxy: mesh.Proxy{Service: "web", Instance: "1", OutboundPort: port}, XDS: []string{s.xds}})
	if err != nil {
		t.Fatal(err)
	}
	side := &sidecar{Envoy: envoytest.Start(t, bootstrap), outbound: heddletest.Loopback(port)}
	side.wants(t, "orders", "/", http.StatusOK, "from a")
	agree := func(when string) {
		t.Helper()
		heddletest.Eventually(t, when+", Envoy and the server to agree", func() error {
			config, err := s.client.ProxyConfig(t.Context(), mesh.ProxyQuery{Node: "web/1", Content: true})
			if err != nil {
				return err
			}
			told := map[string]string{}
			for _, r := range config.Resources {
				if !slices.Contains([]string{"clusters", "listeners", "routes"}, mesh.ResourceTypeName(r.Type)) {
					continue // Envoy's dump has no versions of the others
				}
				if r.State != mesh.ResourceSynced || r.Origin == nil && r.Type == "" || !strings.Contains(string(r.Config), r.Name) {
					return fmt.Errorf("%+v", r)
				}
				told[mesh.ResourceTypeName(r.Type)+"/"+r.Name] = r.Held
			}
			dumped := dumpedVersions(t, side.Envoy)
			if len(told) < 4 || fmt.Sprint(told) != fmt.Sprint(dumped) {
				return fmt.Errorf("the server tells\n%v\nEnvoy has\n%v", told, dumped)
			}
			return nil
		})
	}
	agree("at first")
	changed := service("orders", mesh.HTTP)
	changed.Traffic.Timeout = mesh.Duration(7e9)
	s.declare(changed)
	agree("after a change")

	// A program has the port of a TCP dependency: Envoy refuses the listener.
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	db := service("db", mesh.TCP)
	db.Port = mesh.Port(taken.Addr().(*net.TCPAddr).Port)
	s.declare(db, service("web", mesh.HTTP, "orders", "stock", "db"))
	heddletest.Eventually(t, "the refused listener to be told", func() error {
		config, err := s.client.ProxyConfig(t.Context(), mesh.ProxyQuery{Node: "web/1", Differ: true})
		if err != nil {
			return err
		}
		for _, r := range config.Resources {
			if r.State == mesh.ResourceRefused && r.Refusal != nil && strings.Contains(r.Refusal.Message, "cannot bind") && r.Refusal.Node == "web/1" &&
				r.Held == "" && r.Sent == r.Newest && r.Origin != nil && r.Origin.Author != "" && r.Origin.Revision > 0 {
				return nil
			}
		}
		return fmt.Errorf("%+v", config)
	})
	for path, want := range map[string]string{"/ui/proxies?state=refused": "cannot bind", "/ui/proxies/web/1?show=differs": "cannot bind"} {
		heddletest.Eventually(t, path, func() error {
			response, err := http.Get(s.rest + path)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err == nil && (response.StatusCode != http.StatusOK || !strings.Contains(string(body), want) || !strings.Contains(string(body), "(revision ") || strings.Contains(string(body), "written by")) {
				err = fmt.Errorf("%s: %s", response.Status, body)
			}
			return err
		})
	}
	http.DefaultClient.CloseIdleConnections()
}

// dumpedVersions are the versions that Envoy says it has.
func dumpedVersions(t *testing.T, e *envoytest.Envoy) map[string]string {
	t.Helper()
	type versioned struct {
		Version string `json:"version_info"`
		Named   struct {
			Name string `json:"name"`
		} `json:"cluster"`
		Route struct {
			Name string `json:"name"`
		} `json:"route_config"`
	}
	var dump struct {
		Configs []struct {
			Clusters  []versioned `json:"dynamic_active_clusters"`
			Routes    []versioned `json:"dynamic_route_configs"`
			Listeners []struct {
				Name   string    `json:"name"`
				Active versioned `json:"active_state"`
			} `json:"dynamic_listeners"`
		} `json:"configs"`
	}
	if err := json.Unmarshal([]byte(e.Get(t, "/config_dump")), &dump); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, config := range dump.Configs {
		for _, one := range config.Clusters {
			out["clusters/"+one.Named.Name] = one.Version
		}
		for _, one := range config.Routes {
			out["routes/"+one.Route.Name] = one.Version
		}
		for _, one := range config.Listeners {
			out["listeners/"+one.Name] = one.Active.Version
		}
	}
	return out
}
