package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"golang.org/x/time/rate"
	"google.golang.org/protobuf/proto"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/xds"
)

// events is a fleet whose hosts do something else all the time.
type events struct {
	t      *testing.T
	random *rand.Rand
	agent  *running
	own    *source
	peers  []*peer
	up     []bool                     // by peer
	runs   map[string][]hosts.Service // by host: what it is to be said to run
	claims uint64
	done   int
}

const self = "observed"

func newEvents(t *testing.T, interval time.Duration) *events {
	seed := uint64(time.Now().UnixNano())
	t.Logf("the events are those of seed %d", seed)
	e := &events{t: t, random: rand.New(rand.NewPCG(seed, 1)), own: newSource("test"), runs: map[string][]hosts.Service{}}
	e.agent = start(t, Config{Gossip: quick(self, "127.0.0.1:0"), Sources: []Source{e.own}, PushInterval: interval})
	for i := range 4 {
		e.peers, e.up = append(e.peers, newPeer(t, fmt.Sprint("peer-", i))), append(e.up, false)
	}
	for i := range e.peers {
		e.raise(i)
	}
	return e
}

func (e *events) raise(i int) {
	e.peers[i].start(e.agent.gossip.Address().String())
	e.up[i] = true
	e.tell(e.peers[i].name)
}

// tell has a host say what it runs now.
func (e *events) tell(host string) {
	if host == self {
		e.own.lists <- slices.Clone(e.runs[self])
		return
	}
	i := slices.IndexFunc(e.peers, func(p *peer) bool { return p.name == host })
	e.peers[i].says(e.runs[host])
}

// service draws one: few names and ports, so that copies of one service and claims to
// one port are many.
func (e *events) service(id string) hosts.Service {
	n := e.random.IntN(8)
	e.claims++
	return hosts.Service{
		ID: id, Name: fmt.Sprint("service-", n), Address: netip.AddrFrom4([4]byte{127, 0, 1, byte(1 + e.random.IntN(9))}), Source: "test",
		Ports: []hosts.Port{{Port: mesh.Port(30000 + e.random.IntN(5)), ServicePort: mesh.Port(9000 + n/2*2 + e.random.IntN(20)/19)}},
		Mode:  []hosts.Mode{hosts.HTTPMode, hosts.TCPMode}[e.random.IntN(12)/11], Health: hosts.Healthy, Claim: e.claims,
	}
}

// one event.
func (e *events) next() {
	e.done++
	if e.random.IntN(250) == 0 {
		e.move(e.random.IntN(len(e.peers)))
		return
	}
	host := self
	if i := e.random.IntN(len(e.peers) + 1); i < len(e.peers) {
		if host = e.peers[i].name; !e.up[i] {
			return // what is down does nothing either
		}
	}
	list := slices.Clone(e.runs[host])
	what := e.random.IntN(100)
	at := -1
	if len(list) > 0 {
		at = e.random.IntN(len(list))
	}
	switch {
	case at < 0 || what < 25 && len(list) < 12:
		list = append(list, e.service(fmt.Sprint("c", e.done)))
	case what < 45:
		list = slices.Delete(list, at, at+1)
	case what < 85:
		list[at].Health = []hosts.Health{hosts.Healthy, hosts.Unhealthy, hosts.Unknown, hosts.Draining}[e.random.IntN(4)]
	case what < 95:
		list[at].Ports = []hosts.Port{{Port: list[at].Ports[0].Port + 1, ServicePort: list[at].Ports[0].ServicePort}}
	default: // there and back
		before := e.runs[host]
		e.runs[host] = slices.Delete(list, at, at+1)
		e.tell(host)
		list = before
	}
	e.runs[host] = list
	e.tell(host)
}

// move has a host fail, leave, or come back; what it ran it runs again, or not.
func (e *events) move(i int) {
	p := e.peers[i]
	switch {
	case !e.up[i]:
		if e.random.IntN(2) == 0 {
			e.runs[p.name] = nil
		}
		e.raise(i)
		return
	case e.random.IntN(2) == 0:
		p.child.Kill()
	default:
		p.leave()
	}
	e.up[i] = false
}

// settle waits until the agent's snapshot is what the hosts last said, all of them up.
func (e *events) settle() {
	e.t.Helper()
	for i := range e.peers {
		if !e.up[i] {
			e.raise(i)
		}
	}
	e.agent.until(e.t, "what hosts said last to arrive", func(s *hosts.State) error {
		for _, name := range append([]string{self}, slices.Collect(maps.Keys(e.runs))...) {
			h, _ := s.Host(name)
			if h.Status != hosts.Alive {
				return fmt.Errorf("%s: status %v", name, h.Status)
			}
			want := slices.SortedFunc(slices.Values(e.runs[name]), func(a, b hosts.Service) int { return cmp.Compare(a.ID, b.ID) })
			same := func(a, b hosts.Service) bool {
				if name == self {
					a.Claim = b.Claim // the agent's to choose
				}
				return a.Same(b)
			}
			if !slices.EqualFunc(want, h.Services, same) {
				return fmt.Errorf("%s runs\n%+v, and is seen to run\n%+v", name, want, h.Services)
			}
		}
		return nil
	})
}

// fresh is what a control plane has that has heard of nothing but a snapshot.
func fresh(t *testing.T, state *hosts.State) map[string]map[string][]byte {
	t.Helper()
	fleet := hosts.NewFleet(HostProxy, nil)
	c := catalog.New(catalog.Config{})
	c.Apply(0, true, fleet.Start())
	for _, h := range state.Hosts {
		fleet.Set(h.Name, h.Status, h.Services)
	}
	c.Apply(0, true, fleet.Changes())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- newPlane(c, nil, slog.New(slog.DiscardHandler)).run(ctx, listener) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	s := connect(t, listener.Addr().String())
	defer s.close()
	heddletest.Eventually(t, "a fresh control plane to say all", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, kind := range streamed {
			if len(s.pushes[kind]) == 0 {
				return errors.New("nothing of " + kind)
			}
		}
		return nil
	})
	return s.held
}

// Whatever hosts do, in any order and however fast: what they said last arrives at the
// proxy, nothing is sent that has not changed, and a proxy that changes keep coming for is
// told of them in no more than one push an interval.
func TestTheLastStateAlwaysArrivesAndNothingElse(t *testing.T) {
	const interval, number = 100 * time.Millisecond, 10_000
	e := newEvents(t, interval)
	pushes := e.agent.pushes(t)
	proxy := connect(t, e.agent.xds)
	for e.done < number {
		for range number / 10 {
			e.next()
			if e.random.IntN(100) < 60 { // else several at once
				time.Sleep(time.Duration(e.random.IntN(2500)) * time.Microsecond)
			}
		}
		e.settle()
		want := fresh(t, e.agent.State())
		heddletest.Eventually(t, fmt.Sprintf("the state after %d events to arrive", e.done), func() error { return proxy.differs(want) })
		if t.Failed() {
			return
		}
	}
	again := connect(t, e.agent.xds) // who comes late is told the same
	proxy.mu.Lock()
	held := proxy.held
	proxy.mu.Unlock()
	heddletest.Eventually(t, "the same state to arrive at another proxy", func() error { return again.differs(held) })
	for _, fault := range append(proxy.faults, again.faults...) {
		t.Error(fault)
	}
	at := pushes()
	if err := tooOften(at, interval, 5*interval); err != nil { // TestNoPushComesTooEarly has no other programs beside it
		t.Error(err)
	}
	t.Logf("%d events, %d pushes in %d responses", e.done, len(at), proxy.count())
	if len(at) > e.done/10 {
		t.Errorf("%d events made %d pushes", e.done, len(at))
	}
	proxy.mu.Lock()
	defer proxy.mu.Unlock()
	for kind, list := range proxy.pushes { // what is added comes before what others need no more
		if len(list) > 2*len(at)+1 {
			t.Errorf("%d pushes made %d responses of %s", len(at), len(list), kind)
		}
	}
}

// pushes notes when the catalog, and with it the proxy, is told of changes, until it is called.
func (r *running) pushes(t *testing.T) (end func() []time.Time) {
	feed := r.catalog.Subscribe()
	ctx, cancel := context.WithCancel(context.Background())
	var at []time.Time
	var done sync.WaitGroup
	done.Go(func() {
		for {
			if _, _, err := feed.Wait(ctx); err != nil {
				return
			}
			at = append(at, time.Now())
		}
	})
	stop := sync.OnceFunc(func() { cancel(); done.Wait(); feed.Close() })
	t.Cleanup(stop)
	return func() []time.Time { stop(); return at }
}

// Under changes that do not end, and however late the agent comes to its turn, no more
// pushes come in a while than one an interval and the burst.
func TestNoPushComesTooEarly(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const interval = time.Second
	pace, now := rate.NewLimiter(rate.Every(interval), burst), time.Unix(0, 0)
	var at []time.Time
	for range 2000 {
		now = now.Add(time.Duration(random.Int64N(int64(interval / 2)))) // until something changes
		if random.IntN(50) == 0 {
			now = now.Add(5 * interval) // it is quiet
		}
		quiet := len(at) < burst || now.Sub(at[len(at)-burst]) >= burst*interval
		wait := untilTurn(pace, now)
		if quiet && wait > 0 {
			t.Fatalf("at %v a push waits for %v, after it was quiet", now, wait)
		}
		if wait > interval {
			t.Fatalf("a push waits for %v", wait)
		}
		if wait > 0 {
			now = now.Add(wait + time.Duration(random.Int64N(int64(interval))*int64(random.IntN(2))))
		}
		pace.ReserveN(now, 1)
		at = append(at, now)
	}
	if err := tooOften(at, interval, time.Microsecond); err != nil {
		t.Error(err)
	}
}

// After it was quiet, a change is told at once, a few in a row too; what comes then waits
// for the interval, and goes as it is by then.
func TestWhatChangesAfterQuietIsToldAtOnce(t *testing.T) {
	own := newSource("test")
	a := start(t, Config{Gossip: quick(self, "127.0.0.1:0"), Sources: []Source{own}, PushInterval: time.Hour})
	a.until(t, "the host to see itself", func(s *hosts.State) error { // which is a change, too
		if len(s.Hosts) == 0 {
			return errors.New("no hosts")
		}
		return nil
	})
	proxy := connect(t, a.xds)
	web := hosts.Service{ID: "web", Name: "web", Address: netip.MustParseAddr("127.0.1.1"), Ports: []hosts.Port{{Port: 1000, ServicePort: 9000}}}
	told := func(proxy *stream, port mesh.Port) error {
		proxy.mu.Lock()
		defer proxy.mu.Unlock()
		var endpoints endpointv3.ClusterLoadAssignment
		if err := proto.Unmarshal(proxy.held[xds.TypeEndpoint]["web"], &endpoints); err != nil {
			return err
		}
		if text := endpoints.String(); !strings.Contains(text, fmt.Sprint("port_value:", port)) {
			return fmt.Errorf("port %d is not among %s", port, text)
		}
		return nil
	}
	for i := range burst {
		web.Ports = []hosts.Port{{Port: mesh.Port(1000 + i), ServicePort: 9000}}
		own.lists <- []hosts.Service{web}
		heddletest.Eventually(t, "a change to be told at once", func() error { return told(proxy, web.Ports[0].Port) })
	}
	web.Ports = []hosts.Port{{Port: 2000, ServicePort: 9000}}
	own.lists <- []hosts.Service{web}
	a.until(t, "the snapshot to be told at once, always", func(s *hosts.State) error {
		if h, _ := s.Host(self); len(h.Services) != 1 || h.Services[0].Ports[0].Port != 2000 {
			return fmt.Errorf("%+v", h)
		}
		return nil
	})
	late := connect(t, a.xds) // it is told after what was told already
	heddletest.Eventually(t, "another proxy to be told what the first was", func() error { return told(late, mesh.Port(1000+burst-1)) })
	if told(proxy, 2000) == nil {
		t.Error("the proxy was told of more changes in a row than it is to be")
	}
}
