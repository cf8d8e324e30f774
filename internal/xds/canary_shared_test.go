package xds_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heddle-mesh/heddle/internal/logtest"
	"github.com/heddle-mesh/heddle/internal/xds"
)

// neighbours are six scopes with one proxy each, as the sidecars of one service on
// ports of their own: they share a cluster and a route, and have a listener each.
type neighbours struct {
	t   *testing.T
	rig *rig
	all []*proxy
}

func newNeighbours(t *testing.T, c xds.Config) *neighbours {
	n := &neighbours{t: t, rig: newRig(t, c)}
	one, out := resource(t, xds.TypeCluster, "one", "v1"), resource(t, xds.TypeRoute, "out", "to-one")
	u := xds.Update{Put: []*xds.Resource{one, out}, Scopes: map[string][]xds.Key{}}
	for i := range 6 {
		in := resource(t, xds.TypeListener, fmt.Sprint("in", i), "v1")
		u.Put = append(u.Put, in)
		u.Scopes[fmt.Sprint("web", i)] = keys(one, out, in)
	}
	n.rig.server.Apply(u)
	for i := range 6 {
		n.all = append(n.all, n.rig.proxy(t, fmt.Sprint("web", i, "/1"), "out"))
	}
	n.have("cds/one", "v1", 6)
	n.have("rds/out", "to-one", 6)
	n.settle()
	return n
}

// settle waits until the server knows that all have everything.
func (n *neighbours) settle() {
	n.t.Helper()
	eventually(n.t, "nobody is behind", func() bool {
		all := n.rig.server.Status()
		for _, s := range all {
			for _, one := range s.Types {
				if !one.BehindSince.IsZero() {
					return false
				}
			}
			if len(s.Types) != 3 {
				return false
			}
		}
		return len(all) == 6
	})
}

func (n *neighbours) apply(put ...*xds.Resource) { n.rig.server.Apply(xds.Update{Put: put}) }

func (n *neighbours) have(key, content string, many int) {
	n.t.Helper()
	eventually(n.t, fmt.Sprintf("%d have %s of %s", many, content, key), func() bool {
		return count(n.all, func(p *proxy) bool { return p.has(key) == content }) == many
	})
}

func (n *neighbours) saw(content string, many int) {
	n.t.Helper()
	if got := count(n.all, func(p *proxy) bool { return p.saw(content) }); got != many {
		n.t.Errorf("%s reached %d proxies, not %d", content, got, many)
	}
}

// first gives the proxy that was sent a content before the others.
func (n *neighbours) first(content string) (found *proxy) {
	n.t.Helper()
	eventually(n.t, "one is sent "+content, func() bool {
		for _, p := range n.all {
			if p.saw(content) {
				found = p
			}
		}
		return found != nil
	})
	return found
}

func (n *neighbours) silence(on bool) {
	for _, p := range n.all {
		p.mu.Lock()
		p.silent = on
		p.mu.Unlock()
	}
}

// answer sends what a silent proxy kept to itself.
func (p *proxy) answer() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = false
	for _, m := range p.pending {
		p.send(m)
	}
	p.pending = nil
}

// What scopes share and proxies refuse reaches one proxy of all of them, also if
// each has only one, and the log has it once. The mended version reaches all.
func TestCanarySharedRefuses(t *testing.T) {
	for _, of := range []struct{ typeURL, name, mended string }{{xds.TypeCluster, "one", "v2"}, {xds.TypeRoute, "out", "to-one"}} {
		t.Run(shortOf(of.typeURL), func(t *testing.T) {
			var log logtest.Buffer
			n := newNeighbours(t, xds.Config{CanaryWait: time.Minute, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			n.apply(resource(t, of.typeURL, of.name, "bad"))
			eventually(t, "it is quarantined", func() bool { return len(n.rig.server.Quarantine()) == 1 })
			n.apply(resource(t, of.typeURL, of.name, of.mended))
			n.have(shortOf(of.typeURL)+"/"+of.name, of.mended, 6)
			n.saw("bad", 1)
			text := log.Take()
			if got := strings.Count(text, "no other is sent it, the last good one stays in force"); got != 1 {
				t.Errorf("%d lines say so:\n%s", got, text)
			}
		})
	}
}

// A good version reaches the others when one has accepted it. A scope that has a
// change of its own besides waits with that too, and then has both.
func TestCanarySharedAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNeighbours(t, xds.Config{CanaryWait: time.Minute})
		n.silence(true)
		put := []*xds.Resource{resource(t, xds.TypeCluster, "one", "v2")}
		for i := range 6 {
			put = append(put, resource(t, xds.TypeListener, fmt.Sprint("in", i), "bad"))
		}
		n.apply(put...)
		canary := n.first("v2")
		synctest.Wait() // what must not come would be there
		n.saw("v2", 1)
		for _, p := range n.all {
			if p != canary && p.saw("bad") {
				t.Error("a change of its own was not held back")
			}
		}
		n.silence(false)
		canary.answer()
		n.have("cds/one", "v2", 6)
		eventually(t, "each refused its own", func() bool { return len(n.rig.server.Quarantine()) == 6 })
	})
}

// A canary of another scope that leaves is replaced by one of the others at once.
// One that does not answer is waited for no longer than it was said, and what it
// then refuses is taken back from all.
func TestCanarySharedGoneOrSilent(t *testing.T) {
	n := newNeighbours(t, xds.Config{CanaryWait: time.Minute})
	n.silence(true)
	n.apply(resource(t, xds.TypeRoute, "out", "bad"))
	first := n.first("bad")
	n.silence(false)
	_ = first.stream.CloseSend()
	eventually(t, "the next refused it", func() bool { return len(n.rig.server.Quarantine()) == 1 })
	n.saw("bad", 2)

	var log logtest.Buffer
	n = newNeighbours(t, xds.Config{CanaryWait: 300 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	n.silence(true)
	start := time.Now()
	n.apply(resource(t, xds.TypeRoute, "out", "bad"))
	n.first("bad")
	eventually(t, "all are sent it", func() bool { return count(n.all, func(p *proxy) bool { return p.saw("bad") }) == 6 })
	if took := time.Since(start); took < 200*time.Millisecond {
		t.Errorf("all are sent it after %s, and nobody accepted it", took)
	}
	for _, p := range n.all {
		p.answer()
	}
	eventually(t, "it is quarantined", func() bool { return len(n.rig.server.Quarantine()) == 1 })
	n.apply(resource(t, xds.TypeRoute, "out", "v3"))
	n.have("rds/out", "v3", 6)
	text := log.Take()
	if strings.Count(text, "others that were sent it too") != 1 || strings.Contains(text, "no other is sent it") {
		t.Errorf("the log is wrong about the others:\n%s", text)
	}
}
