package health

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// grpcProbe asks by grpc.health.v1, in plain text, for a service of the server or for "",
// the server itself.
func grpcProbe(address, service string) probe {
	return func(ctx context.Context) error {
		var unreached atomic.Pointer[error]
		dial := func(ctx context.Context, address string) (net.Conn, error) {
			var dialer net.Dialer
			connection, err := dialer.DialContext(ctx, "tcp", address)
			if err != nil {
				unreached.Store(&err)
			}
			return connection, err
		}
		connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithUserAgent("heddle-check"), grpc.WithContextDialer(dial), grpc.WithDisableServiceConfig())
		if err != nil {
			return err
		}
		defer connection.Close()
		answer, err := healthv1.NewHealthClient(connection).Check(ctx, &healthv1.HealthCheckRequest{Service: service})
		switch {
		case err != nil && unreached.Load() != nil:
			return *unreached.Load()
		case err != nil:
			return fmt.Errorf("it answers %s", status.Code(err)) // and no word of the server's: the fleet is told of it
		case answer.GetStatus() != healthv1.HealthCheckResponse_SERVING:
			return fmt.Errorf("it is %s", answer.GetStatus())
		}
		return nil
	}
}
