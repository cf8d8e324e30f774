package otlptest

import (
	"context"
	"encoding/hex"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/grpc"
)

// Span is one span as it arrived.
type Span struct {
	Service           string // of its resource
	Name              string
	Trace, ID, Parent string // hexadecimal; Parent "": the first of its trace
	Attributes        map[string]string
	Links             []string // the traces that it is linked to
	Start, End        time.Time
	Failed            bool
}

// Receiver takes spans until its test ends.
type Receiver struct {
	collectorpb.UnimplementedTraceServiceServer
	address string

	mu    sync.Mutex
	spans []Span // guarded by mu
}

// Start runs a receiver on a free port of the loopback.
func Start(t testing.TB) *Receiver {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &Receiver{address: listener.Addr().String()}
	server := grpc.NewServer()
	collectorpb.RegisterTraceServiceServer(server, r)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Errorf("receive spans: %v", err)
		}
	})
	return r
}

// Address is where it listens, as host:port.
func (r *Receiver) Address() string { return r.address }

// Spans are those that arrived so far.
func (r *Receiver) Spans() []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.spans)
}

// Export implements OTLP's TraceService.
func (r *Receiver) Export(_ context.Context, request *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, resource := range request.GetResourceSpans() {
		service := attributes(resource.GetResource().GetAttributes())["service.name"]
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				one := Span{
					Service: service, Name: s.GetName(), Attributes: attributes(s.GetAttributes()),
					Trace: hex.EncodeToString(s.GetTraceId()), ID: hex.EncodeToString(s.GetSpanId()), Parent: hex.EncodeToString(s.GetParentSpanId()),
					Start: time.Unix(0, int64(s.GetStartTimeUnixNano())), End: time.Unix(0, int64(s.GetEndTimeUnixNano())), //nolint:gosec // of this century
					Failed: s.GetStatus().GetCode() == 2,
				}
				for _, link := range s.GetLinks() {
					one.Links = append(one.Links, hex.EncodeToString(link.GetTraceId()))
				}
				r.spans = append(r.spans, one)
			}
		}
	}
	return &collectorpb.ExportTraceServiceResponse{}, nil
}

func attributes(list []*commonpb.KeyValue) map[string]string {
	out := map[string]string{}
	for _, one := range list {
		switch v := one.GetValue().GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			out[one.GetKey()] = v.StringValue
		case *commonpb.AnyValue_IntValue:
			out[one.GetKey()] = strconv.FormatInt(v.IntValue, 10)
		case *commonpb.AnyValue_BoolValue:
			out[one.GetKey()] = strconv.FormatBool(v.BoolValue)
		case *commonpb.AnyValue_DoubleValue:
			out[one.GetKey()] = strconv.FormatFloat(v.DoubleValue, 'g', -1, 64)
		}
	}
	return out
}
