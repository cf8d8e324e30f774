package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
	"github.com/heddle-mesh/heddle/internal/tracing"
	"github.com/heddle-mesh/heddle/internal/xds"
)

// tracingFlags say whether changes are followed from their write to the proxies.
type tracingFlags struct {
	TracingEndpoint string  `placeholder:"HOST:PORT" help:"An OpenTelemetry collector (OTLP over gRPC) that is sent spans of each write, up to its acknowledgement by each proxy: HOST:PORT in plain text, or https://HOST:PORT. Default: none are made."`
	TracingSample   float64 `default:"0.1" placeholder:"SHARE" help:"Share of the writes without a trace that begin one, 0 to 1."`
}

// check finds flags that make no sense.
func (f *tracingFlags) check(wrong func(format string, args ...any) error) error {
	if f.TracingEndpoint != "" {
		if host, port, err := net.SplitHostPort(strings.TrimPrefix(f.TracingEndpoint, "https://")); err != nil || host == "" || port == "" {
			return wrong("--tracing-endpoint %q is not HOST:PORT, such as 127.0.0.1:4317, nor https://HOST:PORT", f.TracingEndpoint)
		}
	}
	if f.TracingSample < 0 || f.TracingSample > 1 {
		return wrong("--tracing-sample %v is not from 0 to 1", f.TracingSample)
	}
	return nil
}

// tracer makes the tracer that the flags ask for; nil: none.
func (f *tracingFlags) tracer(ctx context.Context, logger *slog.Logger) (*tracing.Tracer, error) {
	if f.TracingEndpoint == "" {
		return nil, nil //nolint:nilnil // none is asked for
	}
	replica, _ := os.Hostname()
	return tracing.New(ctx, tracing.Config{
		Endpoint: f.TracingEndpoint, Sample: f.TracingSample, Service: "heddle-server", Version: cli.VersionLine(), Replica: replica, Logger: logger,
	})
}

// storeTracing has the registry follow writes.
func storeTracing(t *tracing.Tracer) registry.Tracing {
	if t == nil {
		return registry.Tracing{}
	}
	return registry.Tracing{Of: tracing.Parent, Calls: t.Etcd()}
}

// follow has the parts of the node make spans.
func (n *serverNode) follow(t *tracing.Tracer) {
	n.tracer = t
	n.rest.Handler = t.HTTP(n.rest.Handler, n.restAPI.Known)
}

// grpcTracing are the options of a server of the gRPC API.
func (n *serverNode) grpcTracing() []grpc.ServerOption {
	if n.tracer == nil {
		return nil
	}
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(n.tracer.GRPC("/heddle.v1.", n.grpcAPI.Known))}
}

// answered has the tracer hear of proxies' answers.
func answered(t *tracing.Tracer) func(xds.Answer) {
	if t == nil {
		return nil
	}
	return func(a xds.Answer) { t.Acknowledged(a.Traces, a.Node, a.Type, a.Refused, a.Applied, a.At) }
}

// translated has it hear of translations.
func translated(t *tracing.Tracer) func([]string, time.Time, time.Time, int, int) {
	if t == nil {
		return nil
	}
	return t.Translated
}

// received gives the catalog what the watch brought, and has the tracer hear of both.
func (n *serverNode) received(b registry.Batch) {
	n.metrics.received(b)
	news := n.catalog.View().Synced() // what is read for the first time was written long ago
	began := time.Now()
	n.catalog.Apply(b.Revision, b.Synced, b.Changes)
	if n.tracer == nil || !news {
		return
	}
	ended := time.Now()
	for i := range b.Changes {
		if change := &b.Changes[i]; !change.Deleted {
			meta := change.Meta()
			n.tracer.Delivered(meta.Trace, objectOf(change), meta.UpdatedAt, began)
			n.tracer.Merged(meta.Trace, began, ended)
		}
	}
}

// objectOf names an object as the audit does.
func objectOf(c *mesh.Change) string {
	switch {
	case c.Service != nil:
		return "service/" + string(c.Service.Name)
	case c.Instance != nil:
		return "instance/" + c.Instance.Key().String()
	case c.Route != nil:
		return "route/" + string(c.Route.Name)
	}
	return "other"
}
