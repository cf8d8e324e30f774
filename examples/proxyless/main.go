// Command proxyless is a gRPC service and a caller of it, both without a sidecar;
// docs/proxyless.md plays it. For the shortest code the service is gRPC's own
// health check.
//
//	proxyless serve 127.0.0.1:9101    an instance that listens there
//	proxyless call xds:///orders      a caller: one call a second
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	_ "google.golang.org/grpc/xds" // the resolver for xds:///, which reads GRPC_XDS_BOOTSTRAP
)

func main() {
	ctx := context.Background()
	switch args := os.Args[1:]; {
	case len(args) == 2 && args[0] == "serve":
		log.Fatal(serve(ctx, args[1]))
	case len(args) == 2 && args[0] == "call":
		log.Fatal(call(ctx, args[1]))
	}
	log.Fatal("usage: proxyless serve HOST:PORT | proxyless call xds:///NAME")
}

// serve is an ordinary gRPC server: it knows nothing of the mesh.
func serve(ctx context.Context, address string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	healthv1.RegisterHealthServer(server, health.NewServer())
	return server.Serve(listener)
}

// call is an ordinary client as well, but for its target.
func call(ctx context.Context, target string) error {
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("make a client of %s: %w", target, err)
	}
	defer conn.Close()
	client := healthv1.NewHealthClient(conn)
	for range time.Tick(time.Second) {
		var answered peer.Peer
		if _, err := client.Check(ctx, &healthv1.HealthCheckRequest{}, grpc.Peer(&answered)); err != nil {
			fmt.Println("failed:", err)
			continue
		}
		fmt.Println("answered by", answered.Addr)
	}
	return nil
}
