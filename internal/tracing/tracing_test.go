package tracing_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/heddle-mesh/heddle/internal/otlptest"
	"github.com/heddle-mesh/heddle/internal/tracing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a tracer; stop ends it, and returns once all spans have arrived.
func start(t *testing.T, sample float64) (tracer *tracing.Tracer, receiver *otlptest.Receiver, stop func()) {
	t.Helper()
	receiver = otlptest.Start(t)
	tracer, err := tracing.New(t.Context(), tracing.Config{Endpoint: receiver.Address(), Sample: sample, Service: "heddle-server"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); tracer.Run(ctx) }()
	return tracer, receiver, func() { cancel(); <-done }
}

const theirs = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// request sends one of a known client through the tracer, and gives the trace context
// that its handler saw.
func request(tracer *tracing.Tracer, method, traceparent string) (seen string) {
	r := httptest.NewRequest(method, "/x", http.NoBody)
	if traceparent != "" {
		r.Header.Set("traceparent", traceparent)
	}
	return sent(tracer, r, true)
}

func sent(tracer *tracing.Tracer, r *http.Request, known bool) (seen string) {
	handler := tracer.HTTP(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = tracing.Parent(r.Context()) }), func(*http.Request) bool { return known })
	handler.ServeHTTP(httptest.NewRecorder(), r)
	return seen
}

// TestStrangersDoNotSayWhatIsFollowed has somebody without a token claim a trace, by
// either API.
func TestStrangersDoNotSayWhatIsFollowed(t *testing.T) {
	tracer, receiver, stop := start(t, 0)
	r := httptest.NewRequest(http.MethodPut, "/x", http.NoBody)
	r.Header.Set("traceparent", theirs)
	if seen := sent(tracer, r, false); seen != "" {
		t.Errorf("over HTTP the write has the trace %q", seen)
	}
	for known, want := range map[bool]bool{false: false, true: true} {
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("traceparent", theirs))
		_, _ = tracer.GRPC("/heddle.v1.", func(context.Context) bool { return known })(ctx, nil, &grpc.UnaryServerInfo{FullMethod: "/heddle.v1.ServiceService/CreateService"},
			func(ctx context.Context, _ any) (any, error) {
				if seen := tracing.Parent(ctx); (seen != "") != want {
					t.Errorf("known %v: over gRPC the write has the trace %q", known, seen)
				}
				return nil, nil
			})
	}
	stop()
	if spans := receiver.Spans(); len(spans) != 1 {
		t.Errorf("spans: %+v", spans)
	}
}

// TestTheNameOfARequestFitsIntoASpan has one that is long, and no text at all.
func TestTheNameOfARequestFitsIntoASpan(t *testing.T) {
	tracer, receiver, stop := start(t, 1)
	r := httptest.NewRequest(http.MethodPut, "/x", http.NoBody)
	r.Header.Set("X-Request-Id", "deploy\x1b[2J\xff\u202e-"+strings.Repeat("7", 60_000))
	sent(tracer, r, false)
	stop()
	spans := receiver.Spans()
	if want := "deploy[2J-" + strings.Repeat("7", 118); len(spans) != 1 || spans[0].Attributes["heddle.request_id"] != want {
		t.Errorf("spans %+v", spans)
	}
}

// TestAChangeForManyProxiesCostsFewSpans has more proxies answer than have spans.
func TestAChangeForManyProxiesCostsFewSpans(t *testing.T) {
	tracer, receiver, stop := start(t, 1)
	parent := request(tracer, http.MethodPut, theirs)
	now := time.Now()
	tracer.Delivered(parent, "service/orders", now.Add(time.Hour), now) // a clock that is ahead
	tracer.Translated([]string{parent}, now, now.Add(time.Millisecond), 3, 7)
	const proxies = 50
	for i := range proxies {
		took := time.Duration(i) * time.Millisecond
		tracer.Acknowledged([]string{parent}, fmt.Sprint("web/", i), "cds", i == 7, now, now.Add(took))
	}
	tracer.Acknowledged([]string{"00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203331-01"}, "web/1", "cds", false, now, now)
	stop()
	count, byName := map[string]int{}, map[string]otlptest.Span{}
	for _, one := range receiver.Spans() {
		count[one.Name]++
		byName[one.Name] = one
		if one.Trace != theirs[3:35] {
			t.Errorf("%s is of another trace: %s", one.Name, one.Trace)
		}
		if one.End.Before(one.Start) {
			t.Errorf("%s ends before it begins", one.Name)
		}
	}
	if count["ack"] != tracing.AcksAtMost-1 || count["nack"] != 1 || count["push"] != 1 || count["translate"] != 1 || count["watch"] != 1 {
		t.Errorf("spans: %v", count)
	}
	push := byName["push"]
	for name, want := range map[string]string{
		"heddle.acks": "49", "heddle.nacks": "1", "heddle.answers_without_span": "30", "heddle.slowest_node": "web/49", "heddle.slowest_seconds": "0.049",
	} {
		if push.Attributes[name] != want {
			t.Errorf("the push's %s is %q, want %s", name, push.Attributes[name], want)
		}
	}
	if !push.Failed || byName["ack"].Parent != push.ID {
		t.Errorf("push %+v, ack %+v", push, byName["ack"])
	}
}

// TestWhatIsNotSampledIsNotFollowed has a write without a trace, and one whose client
// does not want it.
func TestWhatIsNotSampledIsNotFollowed(t *testing.T) {
	tracer, receiver, stop := start(t, 0)
	for name, parent := range map[string]string{"begins none": "", "not sampled": theirs[:53] + "00", "nonsense": "00-zz"} {
		if seen := request(tracer, http.MethodPut, parent); seen != "" {
			t.Errorf("%s: the write has the trace %q", name, seen)
		}
	}
	if seen := request(tracer, http.MethodGet, theirs); seen != "" {
		t.Errorf("a read has the trace %q", seen)
	}
	now := time.Now()
	tracer.Delivered("", "service/orders", now, now)
	tracer.Translated([]string{"", "nonsense", theirs[:53] + "00"}, now, now, 1, 1)
	stop()
	if spans := receiver.Spans(); len(spans) != 0 {
		t.Errorf("spans: %+v", spans)
	}
}

// TestACollectorThatIsAwayDelaysNothing ends a tracer whose collector never was there.
func TestACollectorThatIsAwayDelaysNothing(t *testing.T) {
	tracer, err := tracing.New(t.Context(), tracing.Config{Endpoint: "127.0.0.1:1", Sample: 1, Service: "heddle-server"})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if request(tracer, http.MethodPut, "") == "" {
		t.Error("the write is not followed")
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("the write took %s", took)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	tracer.Run(ctx)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it ended after %s", took)
	}
}
