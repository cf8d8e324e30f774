package test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

var seedFlag = flag.Uint64("seed", 0, "the seed of TestRandomChangesUnderLoad and TestSoak, instead of 1 and a random one")

// TestRandomChangesUnderLoad: a thousand random changes of the mesh, each sent
// as soon as the one before is acknowledged, while requests flow through real
// Envoys. Every request comes to what the model allows, and in the end every
// Envoy holds what the model does. `-seed N` repeats a run's changes.
func TestRandomChangesUnderLoad(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short leaves out the thousand changes")
	}
	for _, seed := range seeds() {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			c := newChurn(t, seed, churnConfig{settle: 10 * time.Second, pause: 20 * time.Millisecond})
			c.startLoad()
			for c.changes.Load() < 1000 && c.ctx.Err() == nil {
				c.change()
			}
			c.awaitState()
			c.askEverything()
			c.stopLoad()
			t.Logf("%d changes, %s", c.changes.Load(), c.tally())
		})
	}
}

// seeds are a fixed one and a random one, or the one that was asked for.
func seeds() []uint64 {
	if *seedFlag != 0 {
		return []uint64{*seedFlag}
	}
	return []uint64{1, rand.Uint64()}
}

// churnConfig says how a churn differs from the others.
type churnConfig struct {
	settle  time.Duration   // see model
	pause   time.Duration   // the longest between two changes
	outages bool            // the server goes away now and then: writes are sent again
	relay   *relay          // between the proxies and the server, if they are to be cut off
	until   context.Context // what fails after it has ended is no failure; nil: always
}

// churn is a mesh that changes at random under load.
type churn struct {
	t      *testing.T
	config churnConfig
	server *server
	model  *model
	random *rand.Rand // of the changes alone, so that a seed repeats them

	ctx  context.Context // until the first failure, or the end
	stop context.CancelCauseFunc

	callers  []*caller
	sides    workloads // before an application, as an instance of a stable service
	backends map[mesh.InstanceKey]*backend
	epochs   map[mesh.InstanceKey]string
	named    int // instances so far
	retiring sync.WaitGroup

	changes  atomic.Int64
	requests [600]atomic.Int64 // by status
	failures atomic.Int64
	workers  sync.WaitGroup

	mu     sync.Mutex
	recent []string // guarded by mu: the last changes
}

// caller is a workload that requests are made through.
type caller struct {
	*workload
	service mesh.ServiceName
	// resting is held for writing while the workload is not there.
	resting sync.RWMutex
}

const (
	// grace is how long an instance serves on after it was deregistered.
	grace = 2 * time.Second
	// pace is the time from one request of a worker to its next.
	pace = 5 * time.Millisecond
	// loaders are the workers that make requests.
	loaders = 4
)

var (
	stable   = []mesh.ServiceName{"stable-0", "stable-1", "stable-2", "stable-3"}
	volatile = []mesh.ServiceName{"volatile-0", "volatile-1", "volatile-2", "volatile-3"}
	versions = []string{"v1", "v2", "v3"}
)

// newChurn starts a server, two services that call, four that are always there
// with instances of each version, and real Envoys: three that call, and one
// before an instance of each of two stable services.
func newChurn(t *testing.T, seed uint64, config churnConfig) *churn {
	t.Helper()
	envoytest.Path(t)
	t.Logf("seed %d", seed)
	c := &churn{
		t: t, config: config, model: newModel(config.settle), random: rand.New(rand.NewPCG(seed, 0)),
		backends: map[mesh.InstanceKey]*backend{}, epochs: map[mesh.InstanceKey]string{},
	}
	if config.until == nil {
		c.config.until = context.WithoutCancel(t.Context())
	}
	c.ctx, c.stop = context.WithCancelCause(c.config.until)
	c.server = startServer(t)
	t.Cleanup(c.close)
	for _, name := range stable {
		c.declare(service(string(name), mesh.HTTP))
		for _, version := range versions {
			c.register(name, version)
		}
	}
	for _, name := range []mesh.ServiceName{"web", "shop"} {
		c.declare(service(string(name), mesh.HTTP, append(slices.Clone(stable), volatile[0])...))
	}
	var all workloads
	t.Cleanup(func() { all.leave() })
	for i, mode := range []string{"delta", "sotw", "delta"} {
		name := []string{"web", "web", "shop"}[i]
		one := &caller{workload: newWorkload(t, c.server, name, fmt.Sprint("caller-", i), ""), service: mesh.ServiceName(name)}
		one.Arguments = append(one.Arguments, "--xds-mode", mode)
		c.callers = append(c.callers, one)
		all = append(all, one.workload)
	}
	for _, name := range stable[:2] {
		c.sides = append(c.sides, c.besideAnApplication(name))
	}
	all = append(all, c.sides...)
	if config.relay != nil {
		config.relay.lead(c.server.xds)
		for _, one := range all {
			one.Arguments[slices.Index(one.Arguments, "--xds")+1] = config.relay.address
		}
	}
	all.start(t)
	c.awaitState()
	c.changes.Store(0)
	return c
}

// besideAnApplication makes the instance "beside" of a service's first version.
func (c *churn) besideAnApplication(name mesh.ServiceName) *workload {
	key := mesh.InstanceKey{Service: name, ID: "beside"}
	application := c.backend(key)
	side := newWorkload(c.t, c.server, string(name), "beside", application.address)
	side.Arguments = append(side.Arguments, "--label", "version=v1")
	host, port := "127.0.0.1", side.Arguments[slices.Index(side.Arguments, "--inbound-port")+1]
	var number mesh.Port
	if _, err := fmt.Sscan(port, &number); err != nil {
		c.t.Fatal(err)
	}
	c.model.instance(key, &mesh.Instance{ID: key.ID, Service: name, Address: host, Port: number, Health: mesh.Healthy, Labels: map[string]string{"version": "v1"}})()
	return side
}

// fail ends everything at the first failure.
func (c *churn) fail(format string, arguments ...any) {
	if c.config.until.Err() != nil || c.failures.Add(1) > 1 {
		return
	}
	err := fmt.Errorf(format, arguments...)
	c.mu.Lock()
	recent := strings.Join(c.recent, "\n  ")
	c.mu.Unlock()
	c.t.Errorf("%s: %v\nthe last changes:\n  %s", time.Now().Format(clock), err, recent)
	c.stop(err)
}

const clock = "15:04:05.000"

// note keeps the last changes for whoever reads of a failure.
func (c *churn) note(format string, arguments ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recent = append(c.recent, time.Now().Format(clock)+" "+fmt.Sprintf(format, arguments...))
	if len(c.recent) > 60 {
		c.recent = slices.Delete(c.recent, 0, 20)
	}
}

// close ends the load and the applications.
func (c *churn) close() {
	c.stopLoad()
	c.retiring.Wait()
	for _, one := range c.backends {
		one.stop()
	}
}

// backend is an application on loopback that answers with its name.
type backend struct {
	address string
	server  *http.Server
	done    chan struct{}
}

func (c *churn) backend(key mesh.InstanceKey) *backend {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Error(err)
		return nil
	}
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	name := string(key.Service) + " " + string(key.ID)
	b := &backend{address: listener.Addr().String(), done: make(chan struct{})}
	b.server = &http.Server{Handler: slowly(name), ReadHeaderTimeout: 5 * time.Second, Protocols: protocols}
	go func() { defer close(b.done); _ = b.server.Serve(listener) }()
	c.backends[key] = b
	return b
}

// stop ends it as applications should: what is under way is finished.
func (b *backend) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = b.server.Shutdown(ctx)
	_ = b.server.Close()
	<-b.done
}

// startLoad has workers ask without pause, at a bounded rate.
func (c *churn) startLoad() {
	for i := range loaders {
		c.workers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 1))
			web := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}, Timeout: 10 * time.Second}
			defer web.CloseIdleConnections()
			tick := time.NewTicker(pace)
			defer tick.Stop()
			for c.ctx.Err() == nil {
				c.ask(web, c.callers[random.IntN(len(c.callers))], anyWish(random), false)
				<-tick.C
			}
		})
	}
}

func (c *churn) stopLoad() {
	c.stop(errEnough)
	c.workers.Wait()
}

var errEnough = errors.New("it has ended")

// anyWish goes to a stable service four times of five.
func anyWish(random *rand.Rand) wish {
	names := stable
	if random.IntN(5) == 0 {
		names = volatile
	}
	return wish{
		service: names[random.IntN(len(names))],
		method:  []string{http.MethodGet, http.MethodGet, http.MethodPost}[random.IntN(3)],
		path:    paths[random.IntN(len(paths))], kind: kinds[random.IntN(len(kinds))],
	}
}

var (
	paths = []string{"/", "/a", "/a/x", "/b"}
	kinds = []string{"", "beta"}
)

// ask makes a request and judges its answer.
func (c *churn) ask(web *http.Client, through *caller, w wish, exact bool) {
	through.resting.RLock()
	defer through.resting.RUnlock()
	w.caller = through.service
	start := time.Now()
	got, err := wishFor(web, through.outbound(), w)
	c.requests[got.status].Add(1)
	if err := c.model.judge(w, start, time.Now(), got, err, exact); err != nil {
		c.fail("%s through %s, sent at %s: %w; its Envoy:\n%s", w, through.instance(), start.Format(clock), err, through.hosts(w.service))
	}
}

func wishFor(web *http.Client, outbound string, w wish) (answer, error) {
	request, err := http.NewRequestWithContext(context.Background(), w.method, "http://"+outbound+w.path, strings.NewReader("an order"))
	if err != nil {
		return answer{}, err
	}
	request.Host = string(w.service)
	if w.kind != "" {
		request.Header.Set("X-Kind", w.kind)
	}
	response, err := web.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(body)}, err
}

// askEverything has each caller ask for everything once more, when all has
// settled: each answer is what the model says now.
func (c *churn) askEverything() {
	web := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	for _, through := range c.callers {
		for _, name := range slices.Concat(stable, volatile) {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				for _, path := range paths {
					for _, kind := range kinds {
						c.ask(web, through, wish{service: name, method: method, path: path, kind: kind}, true)
					}
				}
			}
		}
	}
}

// tally counts requests by status.
func (c *churn) tally() string {
	total, out := int64(0), ""
	for status := range c.requests {
		if n := c.requests[status].Load(); n > 0 {
			total += n
			out += fmt.Sprintf(", %d: %d", status, n)
		}
	}
	return fmt.Sprintf("%d requests%s, %d failed", total, out, c.failures.Load())
}
