package xds_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/heddle-mesh/heddle/internal/propertytest"
	"github.com/heddle-mesh/heddle/internal/xds"
)

// Whatever is changed, added, taken away and mended, and in whatever order the
// proxies answer: as long as they do so before the wait is over, what they refuse
// is sent to one proxy of all those that share it, in whatever scopes, and in the
// end all have the rest. If scopes have something of their own too, it is one proxy
// of each at most: a canary that is at work there is shown all that changes.
func TestOneProxyFirst(t *testing.T) {
	propertytest.Check(t, func(rt *rapid.T) {
		inBubble(t, func(t *testing.T) {
			r := newRig(t, xds.Config{CanaryWait: time.Hour})
			defer r.close()
			w := newModelWorld(rt)
			own := rapid.Bool().Draw(rt, "own")
			var clients []*modelClient
			for _, scope := range canaryScopes {
				for i := range rapid.IntRange(1, 4).Draw(rt, "proxies") {
					m := newModelClient(rt, r, rapid.SampledFrom([]string{"ads-delta", "ads-sotw"}).Draw(rt, "transport"), fmt.Sprint(scope, "/", i), w.bodies)
					for _, typeURL := range triedTypes {
						m.subscribe(typeURL, []string{"*"}, nil)
						synctest.Wait()
					}
					clients = append(clients, m)
				}
			}
			defer func() {
				for _, m := range clients {
					m.c.cancel()
				}
			}()
			sent := map[canaryKey]string{} // the proxy that was sent it
			see := func() {
				synctest.Wait()
				for _, m := range clients {
					already := len(m.queue)
					m.gather()
					for _, response := range m.queue[already:] {
						for _, one := range m.refusable(response) {
							scope := ""
							if own {
								scope, _, _ = strings.Cut(m.node, "/")
							}
							key := canaryKey{scope, xds.Key{Type: one.Type, Name: one.Name}, one.Version}
							if first := sent[key]; first != "" && first != m.node {
								rt.Fatalf("%s %s@%s was sent to %s and to %s", one.Type, one.Name, one.Version, first, m.node)
							}
							sent[key] = m.node
						}
					}
				}
			}
			forget := func() { // what was taken back before it was refused
				maps.DeleteFunc(sent, func(key canaryKey, _ string) bool {
					return w.current[key.of] == nil || w.current[key.of].Version != key.version
				})
			}
			settle := func() {
				rounds := 0
				for more := true; more; see() {
					if rounds++; rounds > 200 {
						rt.Fatalf("they are sent ever more")
					}
					more = false
					for _, m := range clients {
						more = m.look(1) || more
					}
				}
			}
			see()
			settle()
			waits := 0
			for range rapid.IntRange(1, 40).Draw(rt, "steps") {
				switch rapid.SampledFrom([]string{"apply", "look", "look", "look", "wait"}).Draw(rt, "step") {
				case "apply":
					forget() // also what a SotW response still held after it was taken back
					u, anew := w.changeTried(rt, own)
					for _, m := range clients {
						m.comesAnew(anew)
					}
					r.server.Apply(u)
					forget()
				case "look":
					clients[rapid.IntRange(0, len(clients)-1).Draw(rt, "client")].look(1)
				case "wait":
					if waits++; waits < 4 { // less than the patience with a client in all
						time.Sleep(500 * time.Millisecond)
					}
				}
				see()
			}
			settle()
			r.server.Apply(w.mend())
			for range 10 { // removals are held back for a while
				see()
				settle()
				time.Sleep(time.Second)
			}
			for _, m := range clients {
				scope, _, _ := strings.Cut(m.node, "/")
				w.of(scope).compare(rt, m)
			}
		})
	})
}

// canaryKey is a version of a resource, in one scope or in all.
type canaryKey struct {
	scope   string
	of      xds.Key
	version string
}

var canaryScopes = []string{"web", "shop", "cart"}

var triedTypes = []string{xds.TypeCluster, xds.TypeListener, xds.TypeRoute}

// refusable gives what the client will refuse in a response.
func (m *modelClient) refusable(response proto.Message) (found []*xds.Resource) {
	switch r := response.(type) {
	case *discoveryv3.DeltaDiscoveryResponse:
		for _, one := range r.GetResources() {
			if sent := m.body(r.GetTypeUrl(), one.GetResource().GetValue()); bad(sent) {
				found = append(found, sent)
			}
		}
	case *discoveryv3.DiscoveryResponse:
		for _, one := range r.GetResources() {
			if sent := m.body(r.GetTypeUrl(), one.GetValue()); bad(sent) {
				found = append(found, sent)
			}
		}
	}
	return found
}

// changeTried draws an update of what proxies may refuse, of what all scopes hold and,
// with own, of what one of them holds alone. It gives what another version or nothing
// stood in the place of before.
func (w *modelWorld) changeTried(rt *rapid.T, own bool) (u xds.Update, anew []*xds.Resource) {
	u = xds.Update{Scopes: map[string][]xds.Key{}}
	names := []string{"-a", "-b"}
	if own {
		names = append(names, canaryScopes...)
	}
	someKey := rapid.Custom(func(rt *rapid.T) xds.Key {
		typeURL := rapid.SampledFrom(triedTypes).Draw(rt, "type")
		// No name is part of another resource's bytes: it would be withheld with it.
		return xds.Key{Type: typeURL, Name: shortOf(typeURL) + rapid.SampledFrom(names).Draw(rt, "name")}
	})
	for _, key := range rapid.SliceOfN(someKey, 0, 3).Draw(rt, "leave") {
		delete(w.members, key)
		delete(w.current, key)
	}
	for _, key := range rapid.SliceOfNDistinct(someKey, 0, 3, rapid.ID[xds.Key]).Draw(rt, "put") {
		w.members[key] = true
		r := w.make(key, someContent.Draw(rt, "content"))
		u.Put = append(u.Put, r)
		if before := w.current[key]; before == nil || before.Version != r.Version {
			anew = append(anew, r)
		}
		w.current[key] = r
	}
	for _, scope := range canaryScopes {
		u.Scopes[scope] = slices.Collect(maps.Keys(w.of(scope).members))
	}
	return u, anew
}

// of is the world as one scope may see it: without what another holds alone.
func (w *modelWorld) of(scope string) *modelWorld {
	mine := *w
	mine.members = maps.Clone(w.members)
	maps.DeleteFunc(mine.members, func(key xds.Key, _ bool) bool {
		return slices.ContainsFunc(canaryScopes, func(other string) bool { return other != scope && strings.HasSuffix(key.Name, other) })
	})
	return &mine
}
