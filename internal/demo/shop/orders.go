package shop

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
)

// The headers in which stock says which instance answered, and who called it.
const servedBy, calledBy = "x-served-by", "x-called-by"

// orders takes an order: it charges by payments (HTTP) and asks stock (gRPC).
func (a *App) orders(sidecar Sidecar) func(context.Context, net.Listener) error {
	out := newCaller(sidecar.HTTP)
	return func(ctx context.Context, l net.Listener) error {
		defer out.close()
		stock, err := dialStock(sidecar.HTTP)
		if err != nil {
			return err
		}
		defer stock.Close()
		mux := http.NewServeMux()
		mux.HandleFunc("GET /orders", func(w http.ResponseWriter, r *http.Request) {
			a.finish(w, r, "", nil)
		})
		mux.HandleFunc("GET /orders/checkout", func(w http.ResponseWriter, r *http.Request) {
			payments, err := out.ask(r.Context(), Payments, "/payments")
			if err != nil {
				a.finish(w, r, "", err)
				return
			}
			shelf, err := askStock(r.Context(), stock)
			if err != nil {
				a.finish(w, r, "", err, payments)
				return
			}
			a.finish(w, r, "ordered", nil, payments, shelf)
		})
		return a.serveHTTP(ctx, l, mux)
	}
}

// dialStock makes a client that names the service by its authority and
// connects to the sidecar. It connects at the first call.
func dialStock(sidecar string) (*grpc.ClientConn, error) {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	return grpc.NewClient("passthrough:///"+Stock,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", sidecar)
		}),
	)
}

func askStock(ctx context.Context, conn *grpc.ClientConn) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var header metadata.MD
	response, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: "tea"}, grpc.Header(&header))
	if err != nil {
		return Answer{}, fmt.Errorf("call %s: %w", Stock, err)
	}
	who := header.Get(servedBy)
	if len(who) != 1 {
		return Answer{}, fmt.Errorf("call %s: its answer does not say which instance served", Stock)
	}
	detail := "tea: sold out"
	if response.GetStatus() == healthpb.HealthCheckResponse_SERVING {
		detail = "tea: in stock"
	}
	return Answer{Service: Stock, Instance: who[0], Caller: strings.Join(header.Get(calledBy), ""), Detail: detail}, nil
}
