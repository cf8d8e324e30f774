package xds_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/heddle-mesh/heddle/internal/xds"
)

// teller says in short what a node has; versions by the names that a test gave them.
type teller struct {
	t        *testing.T
	rig      *rig
	versions map[string]string
}

func newTeller(t *testing.T, r *rig) *teller {
	return &teller{t: t, rig: r, versions: map[string]string{"": "-"}}
}

func (o *teller) resource(typeURL, name, content string) *xds.Resource {
	r := resource(o.t, typeURL, name, content)
	o.versions[r.Version] = content
	return r
}

// of is one line for each resource: its state and why it is shown, the versions
// held>sent>current>newest, "has" if the bytes of what is held are there, and
// what was said of it.
func (o *teller) of(node string) string {
	_, all := o.rig.server.Holdings(node, nil)
	var lines []string
	for _, h := range all {
		line := fmt.Sprintf("%s/%s %s", shortOf(h.Type), h.Name, h.State)
		if h.Shown != xds.ShownNewest {
			line += " " + string(h.Shown)
		}
		line += fmt.Sprintf(" %s>%s>%s>%s", o.versions[h.Held], o.versions[h.Sent], o.versions[h.Current], o.versions[h.Newest])
		if h.Has != nil {
			line += " has"
			if h.Has.Version != h.Held {
				o.t.Errorf("%s: the bytes are those of %s", line, h.Has.Version)
			}
		}
		if h.First != "" {
			line += " after " + h.First
		}
		if h.Cause != nil {
			line += " for " + shortOf(h.Cause.Type) + "/" + h.Cause.Name
		}
		if h.Refusal != nil {
			line += fmt.Sprintf(" %s said %q of %s", h.Refusal.Node, h.Refusal.Message, o.versions[h.Refusal.Version])
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func (o *teller) expect(what, node string, lines ...string) {
	o.t.Helper()
	want, got := strings.Join(lines, "\n"), ""
	defer func() {
		if got != want {
			o.t.Logf("%s has\n%s\nwant\n%s", node, got, want)
		}
	}()
	eventually(o.t, what, func() bool {
		got = o.of(node)
		return got == want
	})
}

// One resource is followed through all that can become of it.
func TestHoldings(t *testing.T) {
	r := newRig(t, xds.Config{Patience: time.Minute})
	o := newTeller(t, r)
	one, two, out := o.resource(xds.TypeCluster, "one", "v1"), o.resource(xds.TypeCluster, "two", "v1"), o.resource(xds.TypeRoute, "out", "v1")
	r.server.Apply(xds.Update{Put: []*xds.Resource{one, two, out}, Scopes: map[string][]xds.Key{"web": keys(one, two, out)}})
	if streams, all := r.server.Holdings("web/1", nil); streams != nil || all != nil {
		t.Errorf("somebody who is not there has %v %v", streams, all)
	}
	a := r.connect("ads-delta", "web/1")
	defer a.cancel()
	p := &player{t: t, letters: map[string]string{}}
	a.send(p.request(a, "cds", nil))
	o.expect("they are on their way", "web/1", "cds/one sent ->v1>v1>v1", "cds/two sent ->v1>v1>v1")
	a.send(p.request(a, "rds", []string{"sub=out,absent"}))
	o.expect("the route waits for the clusters", "web/1", "cds/one sent ->v1>v1>v1", "cds/two sent ->v1>v1>v1",
		"rds/absent absent ->->->-", "rds/out behind ->->v1>v1")
	eventually(t, "the clusters have come", func() bool { return a.open()[xds.TypeCluster] == 1 })
	a.answer(xds.TypeCluster, "")
	eventually(t, "the route has come", func() bool { return a.open()[xds.TypeRoute] == 1 })
	a.answer(xds.TypeRoute, "")
	o.expect("it has all", "web/1", "cds/one synced v1>v1>v1>v1 has", "cds/two synced v1>v1>v1>v1 has",
		"rds/absent absent ->->->-", "rds/out synced v1>v1>v1>v1 has")

	newer := o.resource(xds.TypeCluster, "one", "bad")
	r.server.Apply(xds.Update{Put: []*xds.Resource{newer}})
	eventually(t, "the cluster has come", func() bool { return a.open()[xds.TypeCluster] == 1 })
	o.expect("a newer one is on its way", "web/1", "cds/one sent v1>bad>bad>bad has", "cds/two synced v1>v1>v1>v1 has",
		"rds/absent absent ->->->-", "rds/out synced v1>v1>v1>v1 has")
	a.answer(xds.TypeCluster, "one: no such policy")
	refused := `cds/one refused lastGood v1>bad>v1>bad has web/1 said "one: no such policy" of bad`
	o.expect("it was refused", "web/1", refused, "cds/two synced v1>v1>v1>v1 has", "rds/absent absent ->->->-", "rds/out synced v1>v1>v1>v1 has")

	b := r.connect("cds-sotw", "web/2") // on separate services
	defer b.cancel()
	c := r.connect("rds-sotw", "web/2")
	defer c.cancel()
	b.send(p.request(b, "cds", nil))
	c.send(p.request(c, "rds", []string{"names=out"}))
	for _, one := range []struct {
		c       *client
		typeURL string
	}{{b, xds.TypeCluster}, {c, xds.TypeRoute}} {
		eventually(t, "a response", func() bool { return one.c.open()[one.typeURL] == 1 })
		one.c.answer(one.typeURL, "")
	}
	o.expect("another proxy is kept from it", "web/2", `cds/one synced lastGood v1>v1>v1>bad has web/1 said "one: no such policy" of bad`,
		"cds/two synced v1>v1>v1>v1 has", "rds/out synced v1>v1>v1>v1 has")
	if streams, all := r.server.Holdings("web/2", func(typeURL, name string) bool { return name == "out" }); len(streams) != 2 || len(all) != 1 ||
		all[0].Declared.Origin != (xds.Origin{Object: "service/out", Author: "ann", Revision: 7}) {
		t.Errorf("%+v %+v", streams, all)
	}
	if streams, _ := r.server.Holdings("web", nil); streams != nil {
		t.Errorf("a service is not a node: %+v", streams)
	}
	b.cancel()
	c.cancel()
	eventually(t, "nothing is left of it", func() bool { streams, _ := r.server.Holdings("web/2", nil); return len(streams) == 0 })
	// A removal waits for the routes, and is told as such.
	r.server.Apply(xds.Update{Put: []*xds.Resource{o.resource(xds.TypeRoute, "out", "v2")}, Scopes: map[string][]xds.Key{"web": keys(one, out)}})
	eventually(t, "the route has come", func() bool { return a.open()[xds.TypeRoute] == 1 })
	o.expect("a cluster is to go", "web/1", refused, "cds/two leaving v1>v1>->-", "rds/absent absent ->->->-", "rds/out sent v1>v2>v2>v2 has")
}

// The canary and the others are told apart while something is tried, and what
// waits for something that was refused.
func TestHoldingsOfACanary(t *testing.T) {
	r := newRig(t, xds.Config{CanaryWait: time.Minute, Patience: time.Minute})
	o := newTeller(t, r)
	one, out := o.resource(xds.TypeCluster, "one", "v1"), o.resource(xds.TypeRoute, "out", "to-one")
	r.server.Apply(xds.Update{Put: []*xds.Resource{one, out}, Scopes: map[string][]xds.Key{"web": keys(one, out)}})
	var all []*proxy
	for i := range 2 {
		all = append(all, r.proxy(t, fmt.Sprint("web/", i), "out"))
		o.expect("it has all", fmt.Sprint("web/", i), "cds/one synced v1>v1>v1>v1 has", "rds/out synced to-one>to-one>to-one>to-one has")
	}
	for _, p := range all {
		p.mu.Lock()
		p.silent = true
		p.mu.Unlock()
	}
	two := o.resource(xds.TypeCluster, "two", "bad")
	newer := o.resource(xds.TypeRoute, "out", "to-two")
	r.server.Apply(xds.Update{Put: []*xds.Resource{two, newer}, Scopes: map[string][]xds.Key{"web": keys(one, two, newer)}})
	eventually(t, "one has it", func() bool { return all[0].saw("bad") })
	o.expect("one tries it", "web/0", "cds/one synced v1>v1>v1>v1 has", "cds/two sent first ->bad>bad>bad",
		"rds/out behind first to-one>to-one>to-two>to-two has")
	o.expect("the other waits", "web/1", "cds/one synced v1>v1>v1>v1 has", "cds/two withheld later ->->->bad after web/0",
		"rds/out synced later to-one>to-one>to-one>to-two has after web/0")
	all[0].mu.Lock()
	for _, m := range all[0].pending {
		all[0].send(m)
	}
	all[0].pending = nil
	all[0].mu.Unlock()
	said := `web/0 said "Error adding/updating two: it is bad" of bad`
	o.expect("it refused it", "web/0", "cds/one synced v1>v1>v1>v1 has", "cds/two refused lastGood ->bad>->bad "+said,
		"rds/out synced needing to-one>to-one>to-one>to-two has for cds/two")
	o.expect("the other is kept from it", "web/1", "cds/one synced v1>v1>v1>v1 has", "cds/two withheld lastGood ->->->bad "+said,
		"rds/out synced needing to-one>to-one>to-one>to-two has for cds/two")
}

// Who does not read is behind, and has what it acknowledged.
func TestHoldingsOfWhoDoesNotRead(t *testing.T) {
	w := newSlowWorld(t)
	stuck := w.connect("stuck", 1)[0].name
	eventually(t, "a response is on its way", func() bool { return w.answered() == 1 })
	var held []xds.Holding
	eventually(t, "it is behind", func() bool {
		_, held = w.server.Holdings(stuck, nil)
		return len(held) > 0
	})
	for _, h := range held {
		if h.Held != "" || h.State == xds.HoldingSynced {
			t.Errorf("%+v", h)
		}
	}
}

// compareHoldings holds what is told of a client at rest to what it really holds.
func (m *modelClient) compareHoldings() {
	m.t.Helper()
	_, all := m.rig.server.Holdings(m.node, nil)
	told := map[xds.Key]bool{}
	for _, h := range all {
		typ := m.typ(h.Type)
		if h.State == xds.HoldingAbsent && (typ.held[h.Name] == "" || !m.delta() && !fullTypes[h.Type]) {
			continue // SotW cannot say that one of these is gone
		}
		want := typ.held[h.Name]
		if h.Type == xds.TypeEndpoint { // in a version that covers their clusters, which SotW does not tell
			want = h.Held
			if m.delta() {
				want = typ.given[h.Name]
			}
		}
		if h.State != xds.HoldingSynced || h.Held != want || h.Current != want || h.Newest != want || h.Has == nil || h.Has.Version != want || h.Shown != xds.ShownNewest {
			m.t.Fatalf("%s: %s %s in version %s: told as %+v", m.node, h.Type, h.Name, want, h)
		}
		told[xds.Key{Type: h.Type, Name: h.Name}] = true
	}
	for typeURL, typ := range m.types {
		for name := range typ.held {
			if !told[xds.Key{Type: typeURL, Name: name}] && (m.delta() || fullTypes[typeURL]) {
				m.t.Fatalf("%s holds %s %s, and is not told to", m.node, typeURL, name)
			}
		}
	}
}

// Looking at what a proxy has costs by what it has, not by who else is there.
func BenchmarkHoldings(b *testing.B) {
	for _, others := range []int{0, 1000} {
		b.Run(fmt.Sprint("beside ", others), func(b *testing.B) {
			r := newRig(b, xds.Config{})
			var put []*xds.Resource
			for i := range 1000 {
				put = append(put, resource(b, xds.TypeCluster, fmt.Sprint("c", i), "v1"))
			}
			r.server.Apply(xds.Update{Put: put, Scopes: map[string][]xds.Key{"web": keys(put...), "other": keys(put[:1]...)}})
			for i := range others + 1 {
				node := "web/1"
				if i > 0 {
					node = fmt.Sprint("other/", i)
				}
				c := r.connect("ads-delta", node)
				defer c.cancel()
				c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: xds.TypeCluster})
			}
			eventually(b, "all are there", func() bool {
				status := r.server.Status()
				return len(status) == others+1 && !slices.ContainsFunc(status, func(s xds.ProxyStatus) bool { return len(s.Types) == 0 || s.Types[0].Sent == "" })
			})
			for b.Loop() {
				if _, all := r.server.Holdings("web/1", nil); len(all) != 1000 {
					b.Fatal(len(all))
				}
			}
		})
	}
}
