package shop

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
)

// shelf answers gRPC's standard health service, the one gRPC API that needs no
// generated code of its own: the service asked for is the article.
type shelf struct {
	healthpb.UnimplementedHealthServer
	app *App
}

// Check says whether an article is there, and in headers who says so, and to whom.
func (s shelf) Check(ctx context.Context, _ *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	token := strings.Join(metadata.ValueFromIncomingContext(ctx, TokenHeader), "")
	s.app.count(token)
	caller, _ := readToken(token)
	if err := grpc.SetHeader(ctx, metadata.Pairs(servedBy, s.app.id.Instance, calledBy, caller)); err != nil {
		return nil, err
	}
	return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}, nil
}

// stock serves gRPC until ctx ends.
func (a *App) stock(ctx context.Context, l net.Listener) error {
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, shelf{app: a})
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	late := time.AfterFunc(stopTimeout, server.Stop)
	server.GracefulStop()
	late.Stop()
	if err := <-failed; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}
