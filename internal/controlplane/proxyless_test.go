package controlplane_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	grpcxds "google.golang.org/grpc/xds"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/controlplane"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/xds"
)

// gRPC's own xDS client, which is no Envoy, calls xds:///orders: it finds the
// instances, shares calls out among them, follows them as they come and go, and
// knows nothing of services that its own has not declared.
func TestProxylessClient(t *testing.T) {
	first, second := grpcBackend(t), grpcBackend(t)
	all := catalog.New(catalog.Config{})
	plane := controlplane.New(controlplane.Config{Catalog: all})
	server := xds.NewServer(xds.Config{Scopes: plane})
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- plane.Run(ctx, server) }()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(xds.ServerOptions()...)
	server.Register(g)
	served := make(chan error, 1)
	go func() { served <- g.Serve(listener) }()
	defer func() {
		g.Stop()
		cancel()
		for _, done := range []chan error{ran, served} {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if err := server.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}()

	service := func(name string, p mesh.Protocol, dependencies ...mesh.ServiceName) mesh.Change {
		if dependencies == nil {
			dependencies = []mesh.ServiceName{}
		}
		return mesh.Change{Service: &mesh.Service{Name: mesh.ServiceName(name), Owner: "team-a", Protocol: p, Port: 80, Dependencies: dependencies}}
	}
	at := func(id string, port int) mesh.Change {
		return mesh.Change{Instance: &mesh.Instance{ID: mesh.InstanceID(id), Service: "orders", Address: "127.0.0.1", Port: mesh.Port(port)}}
	}
	all.Apply(1, true, []mesh.Change{service("web", mesh.GRPC, "orders", "billing"), service("orders", mesh.GRPC), service("billing", mesh.HTTP), service("secret", mesh.GRPC), at("1", first)})

	bootstrap, err := json.Marshal(map[string]any{
		"xds_servers": []any{map[string]any{"server_uri": listener.Addr().String(), "channel_creds": []any{map[string]any{"type": "insecure"}}, "server_features": []any{"xds_v3"}}},
		"node":        map[string]any{"id": "web/web-1", "metadata": map[string]any{"heddle": map[string]any{"profile": "proxyless"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	resolver, err := grpcxds.NewXDSResolverWithConfigForTesting(bootstrap)
	if err != nil {
		t.Fatal(err)
	}
	dial := func(target string) healthv1.HealthClient {
		conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithResolvers(resolver))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return healthv1.NewHealthClient(conn)
	}
	orders := dial("xds:///orders")
	// reached says which instances ten calls reach; none may fail.
	reached := func() map[int]bool {
		t.Helper()
		ports := map[int]bool{}
		for range 10 {
			call, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			var to peer.Peer
			_, err := orders.Check(call, &healthv1.HealthCheckRequest{}, grpc.Peer(&to), grpc.WaitForReady(true))
			cancel()
			if err != nil {
				t.Fatalf("a call failed: %v; streams: %+v", err, server.Status())
			}
			ports[to.Addr.(*net.TCPAddr).Port] = true
		}
		return ports
	}
	until := func(want ...int) {
		t.Helper()
		deadline := time.Now().Add(10 * time.Second)
		for got := reached(); ; got = reached() {
			if fmt.Sprint(got) == fmt.Sprint(setOf(want)) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("calls reach %v, want %v", got, want)
			}
		}
	}
	until(first)
	all.Apply(2, true, []mesh.Change{at("2", second)})
	until(first, second)
	all.Apply(3, true, []mesh.Change{at("1", second)})
	until(second)

	for _, one := range server.Status() {
		for _, typ := range one.Types {
			if typ.Nacks != 0 || !typ.BehindSince.IsZero() {
				t.Errorf("%s: %+v refused %+v", typ.Type, typ, typ.LastNack)
			}
		}
	}
	secret := dial("xds:///secret")
	call, stop := context.WithTimeout(t.Context(), 3*time.Second)
	defer stop()
	if _, err := secret.Check(call, &healthv1.HealthCheckRequest{}); status.Code(err) != codes.Unavailable && status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a service that was not declared: %v", err)
	}
}

func setOf(ports []int) map[int]bool {
	set := map[int]bool{}
	for _, port := range ports {
		set[port] = true
	}
	return set
}

// grpcBackend is an instance that answers health checks; its port tells which.
func grpcBackend(t *testing.T) (port int) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	healthv1.RegisterHealthServer(g, health.NewServer())
	done := make(chan error, 1)
	go func() { done <- g.Serve(listener) }()
	t.Cleanup(func() {
		g.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().(*net.TCPAddr).Port
}
