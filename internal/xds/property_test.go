package xds_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/heddle-mesh/heddle/internal/propertytest"
	"github.com/heddle-mesh/heddle/internal/xds"
)

var servedTypes = []string{xds.TypeRuntime, xds.TypeCluster, xds.TypeEndpoint, xds.TypeSecret, xds.TypeExtension, xds.TypeListener, xds.TypeRoute}

// Whatever updates come and whatever clients ask for, refuse, leave unanswered
// or lose: when it is over, each client holds what its scope holds of what it
// wants; nothing that was refused is ever sent again unasked; and who comes back
// with everything is sent nothing.
func TestClientsConverge(t *testing.T) {
	propertytest.Check(t, func(rt *rapid.T) {
		inBubble(t, func(t *testing.T) {
			r := newRig(t, xds.Config{CanaryWait: someWait.Draw(rt, "canary")})
			defer r.close()
			w := newModelWorld(rt)
			clients := []*modelClient{newModelClient(rt, r, "ads-delta", "web/1", w.bodies), newModelClient(rt, r, "ads-sotw", "web/2", w.bodies)}
			if rapid.Bool().Draw(rt, "third") {
				clients = append(clients, newModelClient(rt, r, "ads-delta", "web/3", w.bodies))
			}
			defer func() {
				for _, m := range clients {
					m.c.cancel()
				}
			}()
			synctest.Wait()
			for range rapid.IntRange(1, 40).Draw(rt, "steps") {
				m := clients[rapid.IntRange(0, len(clients)-1).Draw(rt, "client")]
				switch rapid.SampledFrom([]string{"apply", "apply", "subscribe", "subscribe", "look", "look", "wait", "reconnect"}).Draw(rt, "step") {
				case "apply":
					u, anew := w.change(rt)
					for _, m := range clients {
						m.comesAnew(anew)
					}
					r.server.Apply(u)
				case "subscribe":
					add := rapid.SliceOfNDistinct(someName, 0, 2, rapid.ID[string]).Draw(rt, "add")
					drop := rapid.SliceOfNDistinct(someName, 0, 2, rapid.ID[string]).Draw(rt, "drop")
					typeURL := someType.Draw(rt, "type")
					drop = slices.DeleteFunc(drop, func(name string) bool {
						return slices.Contains(add, name) || !m.typ(typeURL).names[name]
					})
					if len(add)+len(drop) > 0 {
						m.subscribe(typeURL, add, drop)
					}
				case "look":
					m.look(rapid.IntRange(1, 3).Draw(rt, "responses"))
				case "wait":
					time.Sleep(time.Duration(rapid.IntRange(1, 3000).Draw(rt, "ms")) * time.Millisecond)
				case "reconnect":
					m.reconnect()
				}
				synctest.Wait()
			}
			r.server.Apply(w.mend())
			for range 20 { // more than anything is held back for
				for _, m := range clients {
					for synctest.Wait(); m.look(1); synctest.Wait() {
					}
				}
				time.Sleep(time.Second)
			}
			for _, m := range clients {
				w.compare(rt, m)
				m.compareHoldings()
			}
			again := clients[0]
			again.reconnect()
			again.received = func(typeURL string, changed map[string]string, _ []string) {
				if len(changed) > 0 {
					rt.Fatalf("%s: a client that came back with everything was sent %v", typeURL, changed)
				}
			}
			for range 4 {
				for synctest.Wait(); again.look(1); synctest.Wait() {
				}
				time.Sleep(time.Second)
			}
			for _, status := range r.server.Status() {
				for _, one := range status.Types {
					if !one.BehindSince.IsZero() || one.Sent != one.Acknowledged {
						rt.Fatalf("%s %s: behind in the status, but has everything: %+v", status.Transport, one.Type, one)
					}
				}
			}
		})
	})
}

// inBubble runs f with a clock of its own. A failed property panics, which must
// reach rapid's goroutine.
func inBubble(t *testing.T, f func(t *testing.T)) {
	var failure any
	synctest.Test(t, func(t *testing.T) {
		defer func() { failure = recover() }()
		f(t)
	})
	if fmt.Sprintf("%T", failure) == "rapid.invalidData" {
		panic(failure) // of a line of its own: rapid tells failures apart by where they come from
	}
	if failure != nil {
		panic(failure)
	}
}

var (
	someWait = rapid.SampledFrom([]time.Duration{0, 300 * time.Millisecond, 2 * time.Second, 5 * time.Second})
	someType = rapid.SampledFrom(servedTypes)
	someName = rapid.SampledFrom([]string{"a", "b", "c", "*"})
	someKey  = rapid.Custom(func(rt *rapid.T) xds.Key {
		return xds.Key{Type: someType.Draw(rt, "type"), Name: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "name")}
	})
	someContent = rapid.SampledFrom([]string{"eds1", "eds2", "v1", "v2", "v3", "bad1", "bad2"})
)

// change draws an update, and gives what another version stood in the place of
// before.
func (w *modelWorld) change(rt *rapid.T) (u xds.Update, anew []*xds.Resource) {
	u = xds.Update{Scopes: map[string][]xds.Key{}}
	for _, key := range rapid.SliceOfN(someKey, 0, 4).Draw(rt, "join") {
		w.members[key] = true
	}
	for _, key := range rapid.SliceOfN(someKey, 0, 4).Draw(rt, "leave") {
		delete(w.members, key)
	}
	u.Scopes["web"] = slices.Collect(maps.Keys(w.members))
	u.Scopes["other"] = []xds.Key{{Type: someType.Draw(rt, "other type"), Name: "a"}}
	puts := rapid.SliceOfNDistinct(someKey, 0, 4, rapid.ID[xds.Key]).Draw(rt, "put")
	for key := range w.members { // what comes in has content, as with the control plane
		if w.current[key] == nil && !slices.Contains(puts, key) {
			puts = append(puts, key)
		}
	}
	slices.SortFunc(puts, func(a, b xds.Key) int { return strings.Compare(a.Type+a.Name, b.Type+b.Name) })
	for _, key := range puts {
		r := w.make(key, someContent.Draw(rt, "content"))
		u.Put = append(u.Put, r)
		if before := w.current[key]; before == nil || before.Version != r.Version {
			anew = append(anew, r)
		}
		w.current[key] = r
	}
	for key := range w.current {
		if !w.members[key] {
			delete(w.current, key) // no scope of ours holds it any more
		}
	}
	return u, anew
}

// mend replaces everything that clients refuse.
func (w *modelWorld) mend() xds.Update {
	u := xds.Update{}
	for key, r := range w.current {
		if bad(r) {
			w.current[key] = w.make(key, "mended")
			u.Put = append(u.Put, w.current[key])
		}
	}
	return u
}

// compare checks that a client holds what it should.
func (w *modelWorld) compare(rt *rapid.T, m *modelClient) {
	for typeURL, typ := range m.types {
		want := map[string]string{}
		for key := range w.members {
			if key.Type == typeURL && typ.wants(key.Name) {
				want[key.Name] = w.current[key].Version
			}
		}
		got := maps.Clone(typ.held)
		if !m.delta() && !fullTypes[typeURL] {
			// SotW cannot say that one of these is gone.
			maps.DeleteFunc(got, func(name, _ string) bool { return want[name] == "" })
		}
		if !maps.Equal(got, want) {
			for _, status := range m.rig.server.Status() {
				rt.Logf("%+v", status)
			}
			rt.Fatalf("%s %s: holds %v, its scope %v; subscribed to %v", m.transport, typeURL, got, want, typ.names)
		}
	}
}
