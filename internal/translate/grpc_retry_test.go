package translate_test

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// check makes one gRPC call to stock through a sidecar.
func check(t *testing.T, sidecar *sidecar) error {
	t.Helper()
	connection, err := grpc.NewClient("passthrough:///"+sidecar.outbound(t), grpc.WithAuthority("stock"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_, err = grpc_health_v1.NewHealthClient(connection).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	return err
}

func TestACallThatCrashedTheServiceIsNotMadeAgain(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int32
	done := make(chan struct{})
	go func() { defer close(done); hangUpOnCalls(listener, &calls) }()
	t.Cleanup(func() { listener.Close(); <-done })
	stock := service("stock", mesh.GRPC)
	ip, port := splitAddress(t, listener.Addr().String())
	web := startSidecar(t, &input{
		Proxy:     mesh.Proxy{Service: "web", Instance: "web-1"},
		Services:  []mesh.Service{service("web", mesh.HTTP, "stock"), stock},
		Instances: []mesh.Instance{behindSidecar(t, stock, "stock-1", ip, port)},
	})
	if err := check(t, web); status.Code(err) != codes.Unavailable || calls.Load() != 1 {
		t.Errorf("the service got %d calls, and the caller %v", calls.Load(), err)
	}
}

// hangUpOnCalls reads one call after the other and closes the connection
// instead of answering, until the listener is closed.
func hangUpOnCalls(listener net.Listener, calls *atomic.Int32) {
	for {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		if readCall(c) == nil {
			calls.Add(1)
		}
		c.Close()
	}
}

// readCall reads HTTP/2 up to the end of a request's body (RFC 9113, section 4.1).
func readCall(c net.Conn) error {
	const preface, data, settings, endStream = 24, 0, 4, 1
	if _, err := io.CopyN(io.Discard, c, preface); err != nil {
		return err
	}
	if _, err := c.Write([]byte{0, 0, 0, settings, 0, 0, 0, 0, 0}); err != nil {
		return err
	}
	for {
		var head [9]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return err
		}
		length := int64(head[0])<<16 | int64(head[1])<<8 | int64(head[2])
		if _, err := io.CopyN(io.Discard, c, length); err != nil {
			return err
		}
		if head[3] == data && head[4]&endStream != 0 {
			return nil
		}
	}
}

func TestAGRPCCallThatReachedNoApplicationIsMadeAgain(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	stock := service("stock", mesh.GRPC)
	ip, port := splitAddress(t, listener.Addr().String())
	downIP, downPort := unused(t)
	web := startSidecar(t, &input{
		Proxy:     mesh.Proxy{Service: "web", Instance: "web-1"},
		Services:  []mesh.Service{service("web", mesh.HTTP, "stock"), stock},
		Instances: []mesh.Instance{behindSidecar(t, stock, "stock-1", ip, port), behindSidecar(t, stock, "stock-2", downIP, downPort)},
	})
	for range 10 {
		if err := check(t, web); err != nil {
			t.Fatal(err)
		}
	}
}
