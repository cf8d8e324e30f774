package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// TestLeavingFailsNothing: instances leave, by SIGTERM to their `heddle proxy`,
// and come back, while clients with connections that they keep, and gRPC
// streams, call them through another sidecar. Nothing fails, posts included.
func TestLeavingFailsNothing(t *testing.T) {
	t.Parallel()
	envoytest.Path(t)
	s := startServer(t)
	s.declare(service("orders", mesh.HTTP), service("stock", mesh.GRPC), service("web", mesh.HTTP, "orders", "stock"))
	leaving := workloads{
		newWorkload(t, s, "orders", "leaves", app(t, slowly("leaves"))),
		newWorkload(t, s, "stock", "leaves", counter(t, "leaves")),
	}
	staying := workloads{
		newWorkload(t, s, "orders", "stays", app(t, slowly("stays"))),
		newWorkload(t, s, "stock", "stays", counter(t, "stays")),
	}
	all := slices.Concat(leaving, staying)
	t.Cleanup(all.leave)
	all.start(t)
	web := startSidecar(t, s, "web", "1", "", proxy.Delta)
	for _, one := range []string{"leaves", "stays"} {
		web.wants(t, "orders", "/", http.StatusOK, one)
	}

	load := startCallers(t, web.outbound)
	for range 2 {
		load.wait(t, "HTTP from both", &load.requests, "leaves", "stays")
		load.wait(t, "gRPC from both", &load.streams, "leaves", "stays")
		leaving.leave()
		load.requests.Clear()
		load.streams.Clear()
		load.wait(t, "HTTP from the one that stays", &load.requests, "stays")
		load.wait(t, "gRPC from the one that stays", &load.streams, "stays")
		for _, answers := range []*sync.Map{&load.requests, &load.streams} {
			if _, still := answers.Load("leaves"); still {
				t.Error("an instance that has left still answers")
			}
		}
		leaving.start(t)
	}
	load.stop()
	if load.sent.Load() == 0 {
		t.Error("nothing was sent")
	}
	t.Logf("%d requests and streams", load.sent.Load())
}

// slowly takes some time for an answer, as applications do.
func slowly(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-time.After(5 * time.Millisecond):
		case <-r.Context().Done():
			return
		}
		_, _ = io.WriteString(w, name)
	}
}

// countMethod streams its name as many times as it is asked to.
const countMethod = "/test.Counter/Count"

var countStream = grpc.StreamDesc{StreamName: "Count", ServerStreams: true}

// counter serves countMethod, one message every 10 ms.
func counter(t *testing.T, name string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	desc := countStream
	desc.Handler = func(_ any, stream grpc.ServerStream) error {
		var times wrapperspb.Int64Value
		if err := stream.RecvMsg(&times); err != nil {
			return err
		}
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for range times.GetValue() {
			if err := stream.SendMsg(wrapperspb.String(name)); err != nil {
				return err
			}
			<-tick.C
		}
		return nil
	}
	server := grpc.NewServer()
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "test.Counter", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{desc}}, nil)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); <-done })
	return listener.Addr().String()
}

// workload is a `heddle proxy` process before an application.
type workload struct {
	*heddletest.Process
	t       *testing.T
	running bool
}

// newWorkload makes one. app is where the application listens, "" if it only calls.
func newWorkload(t *testing.T, s *server, name, id, app string) *workload {
	t.Helper()
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte(s.token), 0o600); err != nil {
		t.Fatal(err)
	}
	arguments := []string{
		"proxy", "--service", name, "--instance", id, "--outbound-port", fmt.Sprint(heddletest.FreePort(t)), "--envoy", envoytest.Path(t),
		"--server", s.rest, "--xds", s.xds, "--token-file", token,
	}
	if app != "" {
		_, port, err := net.SplitHostPort(app)
		if err != nil {
			t.Fatal(err)
		}
		arguments = append(arguments, "--app-port", port, "--inbound-address", "127.0.0.1", "--inbound-port", fmt.Sprint(heddletest.FreePort(t)))
	}
	return &workload{t: t, Process: heddle.Process(t, arguments...)}
}

// leave ends it by SIGTERM and waits.
func (w *workload) leave() {
	if !w.running {
		return
	}
	w.running = false
	w.End()
	if err := w.Err(); err != nil {
		w.t.Errorf("heddle proxy ended with %v:\n%s", err, w.Log.String())
	}
}

// workloads are started and ended together: each takes its time.
type workloads []*workload

func (all workloads) start(t *testing.T) {
	t.Helper()
	for _, w := range all {
		w.Run()
		w.running = true
	}
	for _, w := range all {
		w.AwaitReady(&struct{}{})
	}
}

func (all workloads) leave() {
	var group sync.WaitGroup
	for _, w := range all {
		group.Go(w.leave)
	}
	group.Wait()
}

// callers call through one sidecar without a pause.
type callers struct {
	requests, streams sync.Map // who answered
	sent              atomic.Int64
	stop              func()
}

func startCallers(t *testing.T, outbound string) *callers {
	t.Helper()
	l := &callers{}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	each := func(call func(context.Context) error) {
		group.Go(func() {
			for ctx.Err() == nil {
				l.sent.Add(1)
				if err := call(context.WithoutCancel(ctx)); err != nil {
					t.Errorf("a call failed: %v", err)
				}
			}
		})
	}
	web := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: 10 * time.Second}
	for i := range 8 {
		method := []string{http.MethodGet, http.MethodPost}[i%2]
		each(func(ctx context.Context) error { return l.request(ctx, web, method, outbound) })
	}
	connection, err := grpc.NewClient("passthrough:///"+outbound, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("stock"))
	if err != nil {
		t.Fatal(err)
	}
	for _, messages := range []int64{1, 1, 10, 10, 150} { // the last: 1.5 s
		each(func(ctx context.Context) error { return l.stream(ctx, connection, messages) })
	}
	l.stop = sync.OnceFunc(func() {
		cancel()
		group.Wait()
		web.CloseIdleConnections()
		_ = connection.Close()
	})
	t.Cleanup(l.stop)
	return l
}

func (l *callers) request(ctx context.Context, client *http.Client, method, outbound string) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+outbound+"/", strings.NewReader("an order"))
	if err != nil {
		return err
	}
	request.Host = "orders"
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s", method, response.Status, body)
	}
	if err == nil {
		l.requests.Store(string(body), true)
	}
	return err
}

func (l *callers) stream(ctx context.Context, connection *grpc.ClientConn, messages int64) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	stream, err := connection.NewStream(ctx, &countStream, countMethod)
	if err == nil {
		err = stream.SendMsg(wrapperspb.Int64(messages))
	}
	if err == nil {
		err = stream.CloseSend()
	}
	if err != nil {
		return err
	}
	for n := int64(0); ; n++ {
		var one wrapperspb.StringValue
		if err := stream.RecvMsg(&one); err != nil {
			if errors.Is(err, io.EOF) && n == messages {
				return nil
			}
			return fmt.Errorf("after %d of %d messages: %w", n, messages, err)
		}
		if n == 0 {
			l.streams.Store(one.GetValue(), true)
		}
	}
}

// wait waits until all of these have answered.
func (l *callers) wait(t *testing.T, what string, answers *sync.Map, names ...string) {
	t.Helper()
	heddletest.Eventually(t, what, func() error {
		for _, name := range names {
			if _, has := answers.Load(name); !has {
				return errors.New(name + " has not answered")
			}
		}
		return nil
	})
}
