package tracing

import (
	"cmp"
	"context"
	"net/http"
	"path"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// TraceHeader is the header of an answer, over gRPC its metadata, that names the trace
// of a write: 32 hexadecimal digits.
const TraceHeader = "X-Trace-Id"

// HTTP has a span for each write of an API, below the traceparent that the client
// sends, if it does and known says that it is no stranger: strangers decide neither
// what is followed nor what it belongs to.
func (t *Tracer) HTTP(next http.Handler, known func(*http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions {
			next.ServeHTTP(w, r)
			return
		}
		ctx := r.Context()
		if r.Header.Get("Traceparent") != "" && known(r) {
			ctx = w3c.Extract(ctx, propagation.HeaderCarrier(r.Header))
		}
		ctx, span := t.tracer.Start(ctx, printable(r.Method), trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		if !span.IsRecording() {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set(TraceHeader, span.SpanContext().TraceID().String())
		r = r.WithContext(ctx)
		seen := &seenStatus{ResponseWriter: w}
		next.ServeHTTP(seen, r)
		if r.Pattern != "" {
			span.SetName(r.Pattern)
		}
		code := cmp.Or(seen.status, http.StatusOK)
		span.SetAttributes(attribute.String("http.request.method", printable(r.Method)), attribute.Int("http.response.status_code", code),
			attribute.String("heddle.request_id", printable(cmp.Or(r.Header.Get("Idempotency-Key"), r.Header.Get("X-Request-Id")))))
		if code >= http.StatusBadRequest {
			fail(span, strconv.Itoa(code))
		}
	})
}

// seenStatus remembers the status of an answer.
type seenStatus struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements [http.ResponseWriter].
func (s *seenStatus) WriteHeader(status int) {
	if s.status == 0 && status >= http.StatusOK {
		s.status = status
	}
	s.ResponseWriter.WriteHeader(status)
}

// Unwrap is for [http.ResponseController].
func (s *seenStatus) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// printable makes a text of anybody's fit for a span: its first 128 characters,
// without those that are not printable ASCII.
func printable(text string) string {
	kept := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, text)
	return kept[:min(len(kept), 128)]
}

// GRPC is HTTP for the calls of a gRPC service whose methods begin with prefix.
func (t *Tracer) GRPC(prefix string, known func(context.Context) bool) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		method := path.Base(info.FullMethod)
		if !strings.HasPrefix(info.FullMethod, prefix) || strings.HasPrefix(method, "Get") || strings.HasPrefix(method, "List") {
			return handle(ctx, request)
		}
		if incoming, _ := metadata.FromIncomingContext(ctx); len(incoming.Get("traceparent")) > 0 && known(ctx) {
			ctx = w3c.Extract(ctx, sent(incoming))
		}
		ctx, span := t.tracer.Start(ctx, strings.TrimPrefix(info.FullMethod, "/"), trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		if span.IsRecording() {
			_ = grpc.SetHeader(ctx, metadata.Pairs(TraceHeader, span.SpanContext().TraceID().String())) // without it the answer is as good
		}
		answer, err := handle(ctx, request)
		span.SetAttributes(attribute.String("rpc.grpc.status_code", status.Code(err).String()))
		if err != nil {
			fail(span, status.Code(err).String())
		}
		return answer, err
	}
}

// sent reads trace context from a call's metadata.
type sent metadata.MD

// Get implements [propagation.TextMapCarrier].
func (s sent) Get(key string) string {
	if values := metadata.MD(s).Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Set implements [propagation.TextMapCarrier].
func (s sent) Set(key, value string) { metadata.MD(s).Set(key, value) }

// Keys implements [propagation.TextMapCarrier].
func (s sent) Keys() []string { return nil }

// Etcd has a span for each transaction of a write that is traced.
func (t *Tracer) Etcd() grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, request, answer any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
		if !strings.HasSuffix(method, "/Txn") || !trace.SpanContextFromContext(ctx).IsSampled() {
			return invoke(ctx, method, request, answer, conn, options...)
		}
		ctx, span := t.tracer.Start(ctx, "etcd transaction", trace.WithSpanKind(trace.SpanKindClient))
		defer span.End()
		err := invoke(ctx, method, request, answer, conn, options...)
		if err != nil {
			fail(span, status.Code(err).String())
		}
		return err
	}
}
