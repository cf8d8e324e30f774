package test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/agent"
	"github.com/heddle-mesh/heddle/internal/gossip"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// patient is a copy of a service whose answer to its check is chosen; to all else it
// answers its name as long as it does not stand still.
type patient struct {
	*fleetHost
	name   string
	port   mesh.Port
	state  atomic.Value // of well, ill, mute (its check gets no answer), still (nothing does)
	cancel chan struct{}
}

const (
	well  = "well"
	ill   = "ill"
	mute  = "mute"
	still = "still"
)

// treat runs a copy on a host.
func (h *fleetHost) treat(name string) *patient {
	h.t.Helper()
	p := &patient{fleetHost: h, name: name, port: heddletest.FreePort(h.t), cancel: make(chan struct{})}
	p.state.Store(well)
	heddletest.Serve(h.t, net.JoinHostPort(h.ip, fmt.Sprint(p.port)), func(w http.ResponseWriter, r *http.Request) {
		state := p.state.Load()
		if state == still || state == mute && r.URL.Path == "/healthz" {
			select {
			case <-p.cancel:
			case <-r.Context().Done():
			}
			return
		}
		if state == ill && r.URL.Path == "/healthz" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		fmt.Fprint(w, name)
	})
	h.t.Cleanup(func() { close(p.cancel) })
	return p
}

// service announces the copy, checked twice a second.
func (p *patient) service(port mesh.Port) hostService {
	return hostService{Name: "web", Port: p.port, ServicePort: port, Check: map[string]any{"Type": "http", "Args": "/healthz", "Interval": "500ms"}}
}

// calls asks a host's proxy for one service until it is stopped.
type calls struct {
	stop func() error

	mu    sync.Mutex
	seen  map[string]time.Time // guarded by mu: when each copy answered last
	wrong []string             // guarded by mu
	made  int                  // guarded by mu
}

func (h *fleetHost) callsAllTheTime(port mesh.Port) *calls {
	c := &calls{seen: map[string]time.Time{}}
	var done sync.WaitGroup
	end := make(chan struct{})
	for range 2 {
		done.Go(func() {
			for tick := time.NewTicker(20 * time.Millisecond); ; {
				select {
				case <-end:
					tick.Stop()
					return
				case <-tick.C:
				}
				got, err := h.asks(port, "")
				c.mu.Lock()
				if c.made++; err == nil {
					c.seen[got.body] = time.Now()
				} else {
					c.wrong = append(c.wrong, err.Error())
				}
				c.mu.Unlock()
			}
		})
	}
	stop := sync.OnceFunc(func() { close(end); done.Wait() })
	h.t.Cleanup(stop)
	c.stop = func() error {
		stop()
		if c.made < 20 || len(c.wrong) > 0 {
			return fmt.Errorf("of %d calls %d failed: %.2000q", c.made, len(c.wrong), c.wrong)
		}
		h.t.Logf("%d calls, none of which failed", c.made)
		return nil
	}
	return c
}

// goTo waits until only these copies have answered for a while.
func (c *calls) goTo(t *testing.T, want ...string) {
	t.Helper()
	heddletest.Eventually(t, fmt.Sprintf("calls to go to %v only", want), func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		now := 0
		for name, at := range c.seen {
			if time.Since(at) > time.Second {
				continue
			}
			now++
			if !strings.Contains(strings.Join(want, " "), name) {
				return fmt.Errorf("%s answers", name)
			}
		}
		if now != len(want) {
			return fmt.Errorf("%v", c.seen)
		}
		return nil
	})
}

// onlooker is a host that runs nothing: it knows what the others tell.
func onlooker(t *testing.T, ip string, key []byte, seed *fleetHost) *agent.Agent {
	t.Helper()
	keys, err := gossip.ParseKeys(key)
	if err != nil {
		t.Fatal(err)
	}
	cfg := agent.Config{Logger: slog.New(slog.DiscardHandler), Gossip: gossip.Config{
		Name: "onlooker", Bind: netip.AddrPortFrom(netip.MustParseAddr(ip), uint16(seed.gossip)), Fleet: "default", Keys: keys,
		Seeds: []string{fmt.Sprintf("%s:%d", seed.ip, seed.gossip)}, Logger: slog.New(slog.DiscardHandler),
	}}
	if cfg.XDS, err = new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	a, err := agent.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return a
}

// hears waits until a host knows of another's copy that it is so, for this reason.
func hears(t *testing.T, a *agent.Agent, host string, health hosts.Health, reason string) {
	t.Helper()
	heddletest.Eventually(t, fmt.Sprintf("the other hosts to hear that %s's copy is %s: %s", host, health, reason), func() error {
		h, _ := a.State().Host(host)
		if len(h.Services) != 1 {
			return fmt.Errorf("it runs %v", h.Services)
		}
		if s := h.Services[0]; s.Health != health || !strings.HasPrefix(s.Reason, reason) || (reason == "") != (s.Reason == "") {
			return fmt.Errorf("it is %s: %s", s.Health, s.Reason)
		}
		return nil
	})
}

// Copies leave and return by what their checks say, with the reason told to all hosts, and
// no call fails meanwhile. One that comes and goes too often is held back.
func TestCopiesAreCalledWhileTheirChecksSucceed(t *testing.T) {
	key := []byte(gossipKey())
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, key, 0o600); err != nil {
		t.Fatal(err)
	}
	port, web := heddletest.FreePort(t), heddletest.FreePort(t)
	first := startHost(t, 41, keys, port)
	second := startHost(t, 42, keys, port, first)
	caller := startHost(t, 43, keys, port, first, second)
	other := onlooker(t, "127.77.0.44", key, first)
	one, two := first.treat("one"), second.treat("two")
	one.runs(one.service(web))
	two.runs(two.service(web))
	caller.reaches(web, "", "one", "two")

	load := caller.callsAllTheTime(web)
	for state, reason := range map[string]string{ill: "it answers 500 Internal Server Error", mute: "no answer within 500ms"} {
		one.state.Store(state)
		turned := time.Now()
		hears(t, other, first.name, hosts.Unhealthy, reason)
		t.Logf("%s: known to another host after %v", state, time.Since(turned).Round(time.Millisecond))
		load.goTo(t, "two")
		one.state.Store(well)
		hears(t, other, first.name, hosts.Healthy, "")
		load.goTo(t, "one", "two")
	}
	one.state.Store(ill) // for the third time, still without being held
	load.goTo(t, "two")
	one.state.Store(well)
	load.goTo(t, "one", "two")
	one.state.Store(ill) // for the fourth time
	hears(t, other, first.name, hosts.Unhealthy, "held for 10s, as it changes too often: it answers 500")
	held := time.Now()
	one.state.Store(well)
	load.goTo(t, "two")
	hears(t, other, first.name, hosts.Healthy, "")
	if after := time.Since(held); after < 9*time.Second {
		t.Errorf("it was held for %v, to be 10 s", after)
	}
	load.goTo(t, "one", "two")
	if err := load.stop(); err != nil {
		t.Error(err)
	}
	heddletest.Eventually(t, "its own host to log why", func() error {
		if !strings.Contains(first.Log.String(), "held for 10s") {
			return errors.New(first.Log.String())
		}
		return nil
	})

	two.state.Store(still) // a copy that answers nothing at all
	caller.reaches(web, "", "one")
	one.state.Store(mute) // what is not healthy is not called, even if nothing better is there
	heddletest.Eventually(t, "a call without a copy that is healthy to fail", func() error {
		if got, err := ask(t, net.JoinHostPort(caller.ip, fmt.Sprint(web)), "", "/"); err != nil || got.status != http.StatusServiceUnavailable {
			return fmt.Errorf("%d %s (%w)", got.status, got.body, err)
		}
		return nil
	})
	one.state.Store(well)
	two.state.Store(well)
	caller.reaches(web, "", "one", "two")
}
