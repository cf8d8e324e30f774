package accesslog

import (
	"context"
	"errors"
	"testing"
	"time"

	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// keeperOn is a server's keeper on an etcd that several may share.
func keeperOn(t *testing.T, etcd *registry.Embedded, name string, c *clock, declared func(string) bool) *Keeper {
	t.Helper()
	store, err := etcd.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return NewKeeper(KeeperConfig{
		Table: NewTable(c.now, declared), Shelf: store, Server: name, Now: c.now, Declared: declared,
		Connected: func(watch func(string, bool)) { watch("web", false); watch("batch", true) },
	})
}

func (k *Keeper) edge(t *testing.T, caller, callee string) mesh.Edge {
	t.Helper()
	for _, one := range Edges(k.Sightings()) {
		if one.Caller == caller && one.Callee == callee {
			return one
		}
	}
	return mesh.Edge{}
}

// TestNobodysGatewaysAreNotKept: what a gateway that no route names and that proves
// nothing tells is shown by all servers while it is there, and in etcd there is nothing
// of it; nor of gateways whose names a sidecar makes up.
func TestNobodysGatewaysAreNotKept(t *testing.T) {
	etcd, err := registry.StartEmbedded(t.Context(), registry.EmbeddedConfig{NoSync: true, DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	c, declared := newClock(), services("web", "orders", "gateway/named")
	a, b := keeperOn(t, etcd, "a", c, declared), keeperOn(t, etcd, "b", c, declared)
	a.cfg.Connected = func(watch func(string, bool)) { watch("gateway/connected", false) }
	service := NewService(a.cfg.Table, nil, nil, nil)
	for name, sure := range map[string]bool{"gateway/stranger": false, "gateway/proven": true} {
		r := a.cfg.Table.open(name, sure)
		a.cfg.Table.add(r, []seen{{peer: peer{name: "orders"}, counted: true}})
		a.cfg.Table.close(r)
	}
	orders := a.cfg.Table.open("orders", true)
	m := &message{}
	callers := []string{"gateway/named", "gateway/connected", "gateway/proven", "gateway/made-up-1", "gateway/made-up-2", "service/web"}
	for _, caller := range callers {
		m.reports = append(m.reports, *scanned(t, entry(datav3.AccessLogType_DownstreamEnd, "", "code=403", "reason=caller", "peer=spiffe://mesh.test/"+caller)))
	}
	m.all = len(m.reports)
	service.count(orders, mesh.RefusalsReport, m, nil)
	a.cfg.Table.close(orders)
	for range 3 {
		a.turn(t.Context())
		b.turn(t.Context())
	}
	for _, k := range []*Keeper{a, b} {
		if got := k.edge(t, "gateway/stranger", "orders"); got.Requests != 1 {
			t.Errorf("%s does not show the stranger: %+v", k.cfg.Server, got)
		}
		if got := k.edge(t, Other, "orders"); got.Refused != 2 {
			t.Errorf("%s: made up are %+v", k.cfg.Server, got)
		}
		for _, caller := range []string{"gateway/named", "gateway/connected", "gateway/proven", "web"} {
			if got := k.edge(t, caller, "orders"); got.Refused != 1 {
				t.Errorf("%s: %s was refused: %+v", k.cfg.Server, caller, got)
			}
		}
	}
	saved, _, _, err := a.cfg.Shelf.SavedSightings(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range saved {
		if one.Reporter != "orders" && one.Reporter != "gateway/proven" && one.Reporter != "web" && one.Reporter != "batch" {
			t.Errorf("saved is %+v", one)
		}
		for _, row := range one.Rows {
			if row.Peer == "gateway/made-up-1" || row.Peer == "gateway/made-up-2" {
				t.Errorf("saved is %+v", row)
			}
		}
	}
	c.at = c.at.Add(2 * time.Hour)
	a.cfg.Table.forget()
	if a.cfg.Table.find("gateway/stranger") != nil || a.cfg.Table.find("gateway/proven") == nil && a.edge(t, "gateway/proven", "orders").Requests != 1 {
		t.Error("the stranger is there still, or the other is gone")
	}
}

// TestEveryServerAnswersForTheMesh: what is reported to one is told by the other
// within a turn or two, is there after both are gone, and is counted once.
func TestEveryServerAnswersForTheMesh(t *testing.T) {
	etcd, err := registry.StartEmbedded(t.Context(), registry.EmbeddedConfig{NoSync: true, DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	c, declared := newClock(), services("web", "orders")
	a, b := keeperOn(t, etcd, "a", c, declared), keeperOn(t, etcd, "b", c, declared)
	turns := func() {
		for range 2 { // one shows that it is there, the next what it saw
			a.turn(t.Context())
			b.turn(t.Context())
		}
	}
	call := seen{peer: peer{name: "orders"}, counted: true}
	turns() // saves since when web is watched
	a.cfg.Table.tell("web", call, call)
	b.cfg.Table.tell("web", call)
	turns()
	for _, k := range []*Keeper{a, b} {
		if got := k.edge(t, "web", "orders"); got.Requests != 3 || got.RequestRate == 0 || !got.FirstSeen.Equal(c.at) {
			t.Errorf("%s: %+v", k.cfg.Server, got)
		}
	}
	first := c.at
	c.at = c.at.Add(30 * time.Minute)
	a.cfg.Table.tell("web", call, seen{peer: peer{name: "orders"}, counted: true, refused: true, reason: "caller"})
	turns() // a first refusal is saved at once
	turns()
	if got := b.edge(t, "web", "orders"); got.Requests != 5 || got.Refused != 1 || got.Reason != "caller" {
		t.Errorf("%+v", got)
	}

	ended, end := context.WithCancel(t.Context())
	end()
	a.cfg.Table.tell("web", call) // not saved yet
	a.Run(ended, 5*time.Second)
	b.Run(ended, 5*time.Second)
	later := keeperOn(t, etcd, "c", c, declared)
	later.turn(t.Context())
	if got := later.edge(t, "web", "orders"); got.Requests != 6 || got.Refused != 1 || !got.FirstSeen.Equal(first) || !got.LastSeen.Equal(c.at) || got.RequestRate != 0 {
		t.Errorf("after both are gone: %+v", got)
	}
	for _, one := range later.Sightings() {
		if one.Reporter == "web" && !one.Since.Equal(first) || one.Reporter == "batch" && one.Blind.IsZero() {
			t.Errorf("%+v", one)
		}
	}

	// Whoever is not declared any more is forgotten, by all.
	other := keeperOn(t, etcd, "d", c, declared)
	other.cfg.Connected = func(func(string, bool)) {}
	other.turn(t.Context())
	gone := keeperOn(t, etcd, "e", c, services())
	gone.cfg.Connected = other.cfg.Connected
	c.at = c.at.Add(kept + time.Hour)
	for range 3 {
		gone.turn(t.Context())
	}
	other.turn(t.Context())
	if left := other.Sightings(); len(left) != 0 {
		t.Errorf("%+v", left)
	}
}

// refusing is a shelf that takes nothing while it is told not to.
type refusing struct {
	Shelf
	refuses   bool
	saved     []string
	published int
}

func (r *refusing) SaveSightings(_ context.Context, more mesh.Sightings, _ int, _ func(string) bool, _ time.Time) (mesh.Sightings, error) {
	if r.refuses {
		return mesh.Sightings{}, errors.New("no")
	}
	r.saved = append(r.saved, more.Reporter)
	return more, nil
}

func (r *refusing) PublishLive(_ context.Context, _ string, live []mesh.Sightings) error {
	if r.refuses {
		return errors.New("no")
	}
	r.published += len(live)
	return nil
}

// TestWhatWasRefusedIsTriedAgain: at the next turn, not after the pause.
func TestWhatWasRefusedIsTriedAgain(t *testing.T) {
	c, known, shelf := newClock(), services("web", "orders"), &refusing{refuses: true}
	k := NewKeeper(KeeperConfig{Table: NewTable(c.now, known), Shelf: shelf, Server: "a", Now: c.now, Declared: known})
	k.others = map[string][]mesh.Sightings{"b": nil}
	k.size = 10 * publishing / aRow // there is a pause
	k.cfg.Table.tell("web", seen{peer: peer{name: "orders"}, counted: true})
	due := func(name string) bool { return k.cfg.Table.due(name, soon) }
	if k.save(t.Context(), due, 1) == nil || k.publish(t.Context(), c.at) == nil {
		t.Fatal("it was taken")
	}
	shelf.refuses = false
	if err := errors.Join(k.publish(t.Context(), c.at), k.save(t.Context(), due, 1)); err != nil || len(shelf.saved) != 1 || shelf.published != 1 {
		t.Errorf("%v, %q saved, %d published", err, shelf.saved, shelf.published)
	}
}

// TestAClockThatWasAheadIsForgotten: what a server saved and showed while its clock was
// ahead is no newer than what is seen now.
func TestAClockThatWasAheadIsForgotten(t *testing.T) {
	etcd, err := registry.StartEmbedded(t.Context(), registry.EmbeddedConfig{NoSync: true, DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	c, declared := newClock(), services("web", "orders")
	ahead := &clock{c.at.Add(48 * time.Hour)}
	a, b := keeperOn(t, etcd, "a", ahead, declared), keeperOn(t, etcd, "b", c, declared)
	call := seen{peer: peer{name: "orders"}, counted: true}
	a.cfg.Table.tell("web", call)
	for range 3 {
		a.turn(t.Context())
		b.turn(t.Context())
	}
	if got := b.edge(t, "web", "orders"); got.Requests == 0 || got.LastSeen.After(c.at) || got.LastAnswered.After(c.at) {
		t.Errorf("%+v", got)
	}
	b.cfg.Table.tell("web", call)
	c.at = c.at.Add(time.Hour)
	if err := b.save(t.Context(), func(string) bool { return true }, 10); err != nil {
		t.Fatal(err)
	}
	saved, _, _, err := b.cfg.Shelf.SavedSightings(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range saved {
		if one.Since.After(c.at) || one.Through.After(c.at) || len(one.Rows) > 0 && (one.Rows[0].LastSeen.After(c.at) || one.Rows[0].LastAnswered.After(c.at)) {
			t.Errorf("saved is %+v", one)
		}
	}
}
