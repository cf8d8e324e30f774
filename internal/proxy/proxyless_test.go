package proxy_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	grpcxds "google.golang.org/grpc/xds"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

func TestProxylessBootstrapMatchesGoldenAndGRPCAcceptsIt(t *testing.T) {
	for name, config := range map[string]proxy.ProxylessConfig{
		"proxyless": {Service: "web", Instance: "web-1"},
		"proxyless-everything-set": {
			Service: "web", Instance: "vm-7.example:1", Locality: mesh.Locality{Region: "westeurope", Zone: "1"},
			XDS: []string{"10.0.0.1:18000", "heddle.example:18000", "[2001:db8::3]:18000"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := proxy.ProxylessBootstrap(config)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", "bootstrap", name+".golden.json")
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
			if _, err := grpcxds.NewXDSResolverWithConfigForTesting(got); err != nil {
				t.Errorf("gRPC refuses it: %v", err)
			}
		})
	}
}

func TestProxylessBootstrapReportsEveryFault(t *testing.T) {
	_, err := proxy.ProxylessBootstrap(proxy.ProxylessConfig{Service: "Web", XDS: []string{"http://10.0.0.1:18000", "10.0.0.1:18000"}})
	var refused *mesh.Error
	if !errors.As(err, &refused) || refused.Kind != mesh.KindInvalid {
		t.Fatalf("got %v", err)
	}
	var got []string
	for _, fault := range refused.Faults {
		got = append(got, fault.Path)
	}
	if diff := cmp.Diff([]string{"service", "instance", "xds[0]"}, got); diff != "" {
		t.Errorf("%s\n%v", diff, err)
	}
}
