package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Config says where spans go.
type Config struct {
	// Endpoint is a collector that takes OTLP over gRPC: host:port in plain text, or
	// https://host:port.
	Endpoint string
	Sample   float64      // share of the writes without a trace that begin one, 0 to 1
	Service  string       // what the spans are of, e.g. "heddle-server"
	Version  string       // of the program
	Replica  string       // which of several
	Logger   *slog.Logger // default: discard
}

// Tracer makes spans. Its methods may be called at once.
type Tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	logger   *slog.Logger

	mu     sync.Mutex
	pushes map[string]*push // by trace context; guarded by mu
}

// w3c is the one form in which trace context is taken and handed on.
var w3c = propagation.TraceContext{}

// New makes a tracer. Its Run has to be called; until then spans wait.
func New(ctx context.Context, c Config) (*Tracer, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	at := []otlptracegrpc.Option{otlptracegrpc.WithEndpoint(c.Endpoint), otlptracegrpc.WithInsecure()}
	if strings.HasPrefix(c.Endpoint, "https://") {
		at = []otlptracegrpc.Option{otlptracegrpc.WithEndpointURL(c.Endpoint)}
	}
	exporter, err := otlptracegrpc.New(ctx, append(at, otlptracegrpc.WithTimeout(sendTimeout))...)
	if err != nil {
		return nil, fmt.Errorf("send spans to %s: %w", c.Endpoint, err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter, sdktrace.WithBatchTimeout(time.Second)),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(c.Sample))),
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", c.Service), attribute.String("service.version", c.Version), attribute.String("service.instance.id", c.Replica),
		)),
	)
	return &Tracer{provider: provider, tracer: provider.Tracer("heddle"), logger: c.Logger, pushes: map[string]*push{}}, nil
}

// sendTimeout bounds each sending, its repetitions included; lastSends that of the
// last spans, behind one that is under way.
const (
	sendTimeout = 2 * time.Second
	lastSends   = 2*sendTimeout + time.Second
)

// Run ends pushes that are over until ctx ends, and then sends what is left.
func (t *Tracer) Run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			t.endPushes(now)
			continue
		case <-ctx.Done():
		}
		break
	}
	t.endPushes(time.Time{})
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSends)
	defer cancel()
	if err := t.provider.Shutdown(last); err != nil {
		t.logger.Warn("the last spans could not be sent", "error", err)
	}
}

// Parent gives the trace context of what goes on in ctx, as a W3C traceparent; "" if
// it is not traced.
func Parent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	w3c.Inject(ctx, carrier)
	return carrier.Get("traceparent")
}

// below gives a context in which spans are made below a traceparent; ok says that it
// is one, and sampled.
func below(parent string) (ctx context.Context, ok bool) {
	if parent == "" {
		return nil, false
	}
	ctx = w3c.Extract(context.Background(), propagation.MapCarrier{"traceparent": parent})
	return ctx, trace.SpanContextFromContext(ctx).IsSampled()
}

// record makes a span of something that is over.
func (t *Tracer) record(parent, name string, began, ended time.Time, about ...attribute.KeyValue) {
	ctx, ok := below(parent)
	if !ok {
		return
	}
	if began.After(ended) {
		began = ended // another machine's clock
	}
	_, span := t.tracer.Start(ctx, name, trace.WithTimestamp(began), trace.WithAttributes(about...))
	span.End(trace.WithTimestamp(ended))
}

// fail marks a span as one of something that failed.
func fail(span trace.Span, why string) { span.SetStatus(codes.Error, why) }
