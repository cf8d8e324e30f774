package test

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// rpc calls a host by gRPC, and gives what its client sees.
func (s *sidecar) rpc(t testing.TB, host string) (code codes.Code, reason string) {
	t.Helper()
	connection, err := grpc.NewClient("passthrough:///"+s.outbound, grpc.WithAuthority(host), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var header, trailer metadata.MD
	_, err = grpc_health_v1.NewHealthClient(connection).Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.Header(&header), grpc.Trailer(&trailer))
	for _, one := range append(header.Get("x-heddle-reason"), trailer.Get("x-heddle-reason")...) {
		reason = one
	}
	return status.Code(err), reason
}

// TestGRPCCallsAreReadByTheirStatus: all answers to gRPC are HTTP 200; refusals, errors
// and a program that is dead are seen as such nevertheless.
func TestGRPCCallsAreReadByTheirStatus(t *testing.T) {
	t.Parallel()
	envoytest.Path(t)
	s := startServer(t)
	s.declare(service("stock", mesh.GRPC), service("orders", mesh.GRPC), service("secret", mesh.GRPC), service("web", mesh.HTTP, "stock", "orders"))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var fails atomic.Uint32
	program := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, in any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if code := codes.Code(fails.Load()); code != codes.OK {
			return nil, status.Error(code, "as told")
		}
		return next(ctx, in)
	}))
	grpc_health_v1.RegisterHealthServer(program, health.NewServer())
	done := make(chan struct{})
	go func() { defer close(done); _ = program.Serve(listener) }()
	t.Cleanup(func() { program.Stop(); <-done })
	stock := startSidecar(t, s, "stock", "stock-1", listener.Addr().String(), proxy.Delta)
	s.register("stock", "stock-1", stock.inbound)
	web := startSidecar(t, s, "web", "web-1", "", proxy.Delta)
	sees := func(host string, code codes.Code, reason string) {
		t.Helper()
		heddletest.Eventually(t, fmt.Sprintf("%s: %s %s", host, code, reason), func() error {
			if gotCode, gotReason := web.rpc(t, host); gotCode != code || gotReason != reason {
				return fmt.Errorf("got %s %s", gotCode, gotReason)
			}
			return nil
		})
	}

	sees("stock", codes.OK, "")
	s.edge(t, "web", "stock", func(e mesh.Edge) bool { return !e.LastAnswered.IsZero() })
	fails.Store(uint32(codes.NotFound))
	sees("stock", codes.NotFound, "")
	fails.Store(uint32(codes.Internal))
	sees("stock", codes.Internal, "")
	s.edge(t, "web", "stock", func(e mesh.Edge) bool {
		return e.Failure == "grpc-status 13" && e.Requests == 3 && e.Errors == 1 && e.Refused == 0
	})
	sees("secret", codes.PermissionDenied, "undeclared")
	s.edge(t, "web", "secret", func(e mesh.Edge) bool {
		return e.Undeclared == e.Requests && e.Refused == e.Requests && e.Reason == "undeclared" && e.LastAnswered.IsZero()
	})
	s.drift(t, mesh.DriftUndeclared, "web", "secret")
	sees("orders", codes.Unavailable, "")
	s.edge(t, "web", "orders", func(e mesh.Edge) bool {
		return e.Errors == e.Requests && e.Failure == "grpc-status 14 no-answer" && e.LastAnswered.IsZero()
	})

	fails.Store(0)
	program.Stop()
	sees("stock", codes.Unavailable, "unreached")
	s.edge(t, "web", "stock", func(e mesh.Edge) bool { return e.Failure == "grpc-status 14 unreached" })
	heddletest.Eventually(t, "explain knows of the dead program", func() error {
		_, _ = web.rpc(t, "stock")
		e, err := s.client.Explain(t.Context(), "web/web-1", "stock", mesh.ExplainedRequest{})
		if err != nil {
			return err
		}
		if calls := e.Steps[len(e.Steps)-1]; e.Verdict != mesh.CallUncertain || calls.ID != "calls" || !calls.Doubt {
			return fmt.Errorf("%s: %s (%+v)", e.Verdict, e.Summary, calls)
		}
		return nil
	})
}
