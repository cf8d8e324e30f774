package xds_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/heddle-mesh/heddle/internal/xds"
)

const (
	slowReaders    = 100
	slowServices   = 20
	slowBytes      = 10_000   // of the endpoints of one service: 200 kB in all, more than a window takes
	slowUpdates    = 300      // each of one service: 3 MB in all for each stream
	slowPerStream  = 64 << 10 // bytes that one may cost meanwhile
	slowMostRounds = 5        // responses until one has caught up
)

// A hundred clients that never read cost the server a bounded amount of memory,
// delay none of a hundred others, and hold the latest state once they read.
func TestSlowReadersBesideOthers(t *testing.T) {
	w := newSlowWorld(t)
	readers := w.connect("reader", slowReaders)
	for _, one := range readers {
		w.group.Go(one.read)
	}
	w.wait(readers)
	alone := w.rounds(readers)

	blocked := w.connect("blocked", slowReaders)
	eventually(t, "a response is on its way to each", func() bool { return w.answered() == 2*slowReaders })
	beside := w.rounds(readers)
	before := heapInUse()
	for update := range slowUpdates {
		w.change(update % slowServices)
		if pending := w.server.Pending(); pending > 2*slowServices { // clusters and endpoints
			t.Fatalf("%d marks wait for a stream that has %d names", pending, 2*slowServices)
		}
	}
	start := time.Now()
	w.wait(readers)
	last := time.Since(start)
	if w.server.Pending() == 0 {
		t.Error("no changes wait for those that do not read")
	}
	grown := max(0, heapInUse()-before) / slowReaders
	t.Logf("a change reaches %d readers in %s, with %d that do not read beside them in %s; the last of %d changes in %s; %d bytes for each that does not read",
		slowReaders, alone, slowReaders, beside, slowUpdates, last, grown)
	if grown > slowPerStream {
		t.Errorf("each of those that do not read costs %d bytes, more than %d", grown, slowPerStream)
	}
	if bound := 5*alone + 100*time.Millisecond; beside > bound {
		t.Errorf("a change takes %s beside those that do not read, more than %s", beside, bound)
	}

	for _, one := range blocked {
		w.group.Go(one.read)
	}
	w.wait(blocked)
	for _, one := range blocked {
		if responses := one.count(); responses > slowMostRounds {
			t.Errorf("%s was sent %d responses for what it missed, more than %d", one.name, responses, slowMostRounds)
		}
	}
}

// slowWorld is a server on TCP with endpoints that change.
type slowWorld struct {
	t       *testing.T
	server  *xds.Server
	address string
	group   sync.WaitGroup // the clients that read
	number  int            // of the last change

	latest map[string]string // versions by name
}

func newSlowWorld(t *testing.T) *slowWorld {
	t.Helper()
	w := &slowWorld{t: t, server: xds.NewServer(xds.Config{Scopes: scopes{}}), latest: map[string]string{}}
	g := grpc.NewServer(xds.ServerOptions()...)
	w.server.Register(g)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.address = listener.Addr().String()
	done := make(chan error, 1)
	go func() { done <- g.Serve(listener) }()
	t.Cleanup(func() {
		g.Stop()
		w.group.Wait()
		if err := <-done; err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := w.server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	u := xds.Update{Scopes: map[string][]xds.Key{}}
	for i := range slowServices {
		u.Put = append(u.Put, resource(t, xds.TypeCluster, fmt.Sprint("service", i), "eds"), w.endpoints(i))
	}
	u.Scopes["web"] = keys(u.Put...)
	w.server.Apply(u)
	return w
}

// endpoints makes the next endpoints of a service.
func (w *slowWorld) endpoints(service int) *xds.Resource {
	w.number++
	one := resource(w.t, xds.TypeEndpoint, fmt.Sprint("service", service), fmt.Sprint(w.number, strings.Repeat(".", slowBytes)))
	w.latest[one.Name] = fmt.Sprint(w.number)
	return one
}

func (w *slowWorld) change(service int) {
	w.server.Apply(xds.Update{Put: []*xds.Resource{w.endpoints(service)}})
}

// connect opens streams that ask for everything, each on a connection of its
// own with small windows, and reads nothing from them.
func (w *slowWorld) connect(kind string, count int) []*slowClient {
	w.t.Helper()
	var names []string
	for i := range slowServices {
		names = append(names, fmt.Sprint("service", i))
	}
	var all []*slowClient
	for i := range count {
		conn, err := grpc.NewClient(w.address, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithStaticStreamWindowSize(64<<10), grpc.WithStaticConnWindowSize(64<<10))
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(func() { _ = conn.Close() })
		stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		one := &slowClient{name: fmt.Sprintf("web/%s-%d", kind, i), stream: stream, held: map[string]string{}}
		for _, request := range []*discoveryv3.DeltaDiscoveryRequest{
			{Node: node(one.name), TypeUrl: xds.TypeCluster, ResourceNamesSubscribe: []string{"*"}},
			{TypeUrl: xds.TypeEndpoint, ResourceNamesSubscribe: names},
		} {
			if err := stream.Send(request); err != nil {
				w.t.Fatal(err)
			}
		}
		all = append(all, one)
	}
	return all
}

// answered counts the streams that endpoints were sent on.
func (w *slowWorld) answered() (n int) {
	for _, one := range w.server.Status() {
		for _, typ := range one.Types {
			if typ.Type == xds.TypeEndpoint && typ.Responses > 0 {
				n++
			}
		}
	}
	return n
}

// wait waits until these hold the latest state.
func (w *slowWorld) wait(clients []*slowClient) {
	w.t.Helper()
	for _, one := range clients {
		eventually(w.t, one.name+" has the latest state", func() bool { return one.holds(w.latest) })
	}
}

// rounds gives the median time from a change until all of these have it.
func (w *slowWorld) rounds(clients []*slowClient) time.Duration {
	w.t.Helper()
	var all []time.Duration
	for i := range slowServices {
		start := time.Now()
		w.change(i)
		w.wait(clients)
		all = append(all, time.Since(start))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

func heapInUse() int {
	runtime.GC()
	runtime.GC() // what pools keep lives through one
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return int(memory.HeapAlloc)
}

// slowClient reads and acknowledges once it is told to.
type slowClient struct {
	name   string
	stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient

	mu        sync.Mutex
	held      map[string]string // guarded by mu: the change that each service's endpoints are of
	responses int               // guarded by mu
}

// read ends with the stream.
func (c *slowClient) read() {
	for {
		response, err := c.stream.Recv()
		if err != nil {
			return
		}
		c.mu.Lock()
		c.responses++
		if response.GetTypeUrl() == xds.TypeEndpoint {
			for _, one := range response.GetResources() {
				c.held[one.GetName()] = changeOf(one.GetResource().GetValue())
			}
		}
		c.mu.Unlock()
		if c.stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce()}) != nil {
			return
		}
	}
}

// changeOf finds the number of the change before the dots.
func changeOf(body []byte) string {
	before, _, _ := strings.Cut(string(body), ".")
	digits := len(before)
	for digits > 0 && before[digits-1] >= '0' && before[digits-1] <= '9' {
		digits--
	}
	return before[digits:]
}

func (c *slowClient) holds(latest map[string]string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.held) != len(latest) {
		return false
	}
	for name, number := range latest {
		if c.held[name] != number {
			return false
		}
	}
	return true
}

func (c *slowClient) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.responses
}
