package proxy_test

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func bootstrapVariants() map[string]proxy.BootstrapConfig {
	orders := mesh.Proxy{Service: "orders", Instance: "orders-1", AppPort: 8080}
	return map[string]proxy.BootstrapConfig{
		"default":     {Proxy: orders},
		"client-only": {Proxy: mesh.Proxy{Service: "web", Instance: "web-1"}},
		"sotw":        {Proxy: orders, XDSMode: proxy.SotW},
		"several control planes": {
			Proxy: orders, XDS: []string{"10.0.0.1:18000", "10.0.0.2:18000", "[2001:db8::3]:18000"},
		},
		"control plane by name": {Proxy: orders, XDS: []string{"heddle.example:18000", "10.0.0.2:18000"}},
		"everything set": {
			Proxy: mesh.Proxy{
				Service: "orders", Instance: "vm-7.example:1", InboundAddress: "10.0.0.7", InboundPort: 9000,
				AppAddress: "127.0.0.2", AppPort: 8080, OutboundAddress: "::1", OutboundPort: 15002,
				DependencyPorts: map[mesh.ServiceName]mesh.Port{"ledger": 7000, "stock": 7001},
			},
			Locality: mesh.Locality{Region: "westeurope", Zone: "1"},
			XDS:      []string{"10.0.0.1:18000"}, XDSMode: proxy.Delta, AdminPort: 19000, MaxConnections: 1000,
		},
	}
}

func TestBootstrapMatchesGoldenAndEnvoyAcceptsIt(t *testing.T) {
	for name, config := range bootstrapVariants() {
		t.Run(name, func(t *testing.T) {
			got, err := proxy.Bootstrap(config)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", "bootstrap", strings.ReplaceAll(name, " ", "-")+".golden.json")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("%v; write it with: go test ./internal/proxy -update", err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("differs from %s (-want +got):\n%s", file, diff)
			}
			envoytest.Validate(t, got)
		})
	}
}

func TestBootstrapTellsTheControlPlaneAllOfTheProxy(t *testing.T) {
	config := bootstrapVariants()["everything set"]
	data, err := proxy.Bootstrap(config)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Node struct {
			ID       string
			Cluster  string
			Metadata struct{ Heddle mesh.Proxy }
		}
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if got.Node.ID != "orders/vm-7.example:1" || got.Node.Cluster != "orders" {
		t.Errorf("node %q of cluster %q", got.Node.ID, got.Node.Cluster)
	}
	if diff := cmp.Diff(config.Proxy, got.Node.Metadata.Heddle); diff != "" {
		t.Error(diff)
	}
}

func TestBootstrapReportsEveryFault(t *testing.T) {
	_, err := proxy.Bootstrap(proxy.BootstrapConfig{
		Proxy:   mesh.Proxy{Service: "Orders", Instance: "", AppPort: 70000, AppAddress: "localhost"},
		XDS:     []string{"http://10.0.0.1:18000", "10.0.0.1", "10.0.0.1:0", ":18000", "10.0.0.1:18000"},
		XDSMode: "rest", AdminPort: -1, MaxConnections: -1,
	})
	var refused *mesh.Error
	if !errors.As(err, &refused) || refused.Kind != mesh.KindInvalid {
		t.Fatalf("got %v", err)
	}
	var got []string
	for _, fault := range refused.Faults {
		got = append(got, fault.Path)
	}
	want := []string{"service", "instance", "appAddress", "appPort", "xds[0]", "xds[1]", "xds[2]", "xds[3]", "xdsMode", "adminPort", "maxConnections"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s\n%v", diff, err)
	}
}
