package grpcapi

import (
	"context"
	"log/slog"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// metrics are the API's own. gRPC hands over only methods that exist, so that
// callers cannot make labels up.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	watches  prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "heddle_grpc_requests_total", Help: "Calls answered by the gRPC API, by method and code; watches when they end.",
		}, []string{"operation", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "heddle_grpc_request_duration_seconds", Help: "How long calls of the gRPC API took, watches aside.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"operation"}),
		watches: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "heddle_grpc_watches", Help: "Watches of the gRPC API that are open now.",
		}),
	}
	if r != nil {
		r.MustRegister(m.requests, m.seconds, m.watches)
	}
	return m
}

// ServerOptions are for the server that the API is registered on: they count and
// log the API's calls, and keep one that panics from ending the process. Calls of
// other services on that server pass untouched.
func (a *API) ServerOptions() []grpc.ServerOption {
	unary := func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (answer any, err error) {
		if !ours(info.FullMethod) {
			return handle(ctx, request)
		}
		defer func(began time.Time) {
			a.metrics.seconds.WithLabelValues(path.Base(info.FullMethod)).Observe(time.Since(began).Seconds())
			a.observe(ctx, info.FullMethod, requestID(request), err, began)
		}(time.Now())
		defer a.recovered(ctx, info.FullMethod, &err)
		if err = a.mayRead(ctx, info.FullMethod); err != nil {
			return nil, err
		}
		answer, err = handle(ctx, request)
		a.auditRefused(ctx, info.FullMethod, request, err)
		return answer, err
	}
	stream := func(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) (err error) {
		if !ours(info.FullMethod) {
			return handle(server, stream)
		}
		a.metrics.watches.Inc()
		defer a.metrics.watches.Dec()
		defer func(began time.Time) { a.observe(stream.Context(), info.FullMethod, "", err, began) }(time.Now())
		defer a.recovered(stream.Context(), info.FullMethod, &err)
		if err := a.mayRead(stream.Context(), info.FullMethod); err != nil {
			return err
		}
		return handle(server, stream)
	}
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(unary), grpc.ChainStreamInterceptor(stream)}
}

func ours(method string) bool { return strings.HasPrefix(method, "/heddle.v1.") }

// requestID is the name that the caller gave a request, "" if none.
func requestID(request any) string {
	if named, is := request.(interface{ GetRequestId() string }); is {
		return named.GetRequestId()
	}
	return ""
}

// observe counts a call that was answered, and logs it.
func (a *API) observe(ctx context.Context, method, requestID string, err error, began time.Time) {
	code := status.Code(err)
	a.metrics.requests.WithLabelValues(path.Base(method), code.String()).Inc()
	if !a.logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	a.logger.DebugContext(ctx, "gRPC call", "operation", path.Base(method), "code", code.String(),
		"duration", time.Since(began), "remote", remote(ctx), "request_id", shorten(requestID))
}

// remote is the address of a caller.
func remote(ctx context.Context) string {
	if from, known := peer.FromContext(ctx); known {
		return from.Addr.String()
	}
	return ""
}

// recovered turns a panic into an answer and a log entry.
func (a *API) recovered(ctx context.Context, method string, err *error) {
	if cause := recover(); cause != nil {
		a.logger.ErrorContext(ctx, "gRPC API call panicked", "method", method, "panic", cause, "stack", string(debug.Stack()))
		*err = status.Error(codes.Internal, "an internal error; the server's log says more")
	}
}
