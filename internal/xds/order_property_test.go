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

// However late a client answers (within the time that it is waited for): a route
// arrives when all its clusters are in use, which for Envoy is when endpoints
// have come after the cluster, and a cluster goes when no route needs it.
func TestNothingBreaksOnTheWay(t *testing.T) {
	for _, transport := range []string{"ads-delta", "ads-sotw"} {
		t.Run(transport, func(t *testing.T) {
			propertytest.Check(t, func(rt *rapid.T) {
				inBubble(t, func(t *testing.T) { playOrder(t, rt, transport) })
			})
		})
	}
}

func playOrder(t *testing.T, rt *rapid.T, transport string) {
	r := newRig(t, xds.Config{CanaryWait: someWait.Draw(rt, "canary")})
	defer r.close()
	w := newModelWorld(rt)
	r.server.Apply(w.topology(rt))
	var envoys []*modelEnvoy
	for i := range rapid.IntRange(1, 3).Draw(rt, "envoys") {
		e := &modelEnvoy{modelClient: newModelClient(rt, r, transport, fmt.Sprint("web/", i), w.bodies), routes: map[string][]string{}, warm: map[string]bool{}, awaiting: map[string]bool{}, taken: map[string]string{}}
		e.received = e.check
		defer func() { e.c.cancel() }()
		e.subscribe(xds.TypeCluster, []string{"*"}, nil)
		synctest.Wait()
		e.subscribe(xds.TypeRoute, []string{"out", "direct"}, nil)
		synctest.Wait()
		envoys = append(envoys, e)
	}
	waited := 0
	for range rapid.IntRange(1, 30).Draw(rt, "steps") {
		e := envoys[rapid.IntRange(0, len(envoys)-1).Draw(rt, "envoy")]
		switch rapid.SampledFrom([]string{"look", "look", "look", "look", "apply", "apply", "reconnect", "wait"}).Draw(rt, "step") {
		case "look":
			e.look(1)
		case "apply":
			r.server.Apply(w.topology(rt))
		case "reconnect":
			if e.delta() { // a new SotW stream cannot know what the client has
				e.reconnect()
			}
		case "wait": // less than the patience with a client in all
			if waited < 4 {
				waited++
				time.Sleep(400 * time.Millisecond)
			}
		}
		synctest.Wait()
	}
	for range 20 { // what a reconnected client had is kept for a while
		for _, e := range envoys {
			for e.look(1) {
				synctest.Wait()
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
	}
	for _, e := range envoys {
		w.compare(rt, e.modelClient)
		if len(e.awaiting) > 0 {
			rt.Fatalf("clusters that changed and got no endpoints since: %v", e.awaiting)
		}
	}
}

// topology draws clusters with their endpoints, and routes that send traffic to
// some of them.
func (w *modelWorld) topology(rt *rapid.T) xds.Update {
	u := xds.Update{Scopes: map[string][]xds.Key{}}
	w.members = map[xds.Key]bool{}
	put := func(typeURL, name, content string) {
		key := xds.Key{Type: typeURL, Name: name}
		w.members[key] = true
		w.current[key] = w.make(key, content)
		u.Put = append(u.Put, w.current[key])
	}
	clusters := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 1, 4, rapid.ID[string]).Draw(rt, "clusters")
	for _, name := range clusters {
		put(xds.TypeCluster, name, rapid.SampledFrom([]string{"eds1", "eds2"}).Draw(rt, "content"))
		put(xds.TypeEndpoint, name, rapid.SampledFrom([]string{"e1", "e2"}).Draw(rt, "endpoints"))
	}
	slices.Sort(clusters)
	put(xds.TypeRoute, "out", strings.Join(clusters[:rapid.IntRange(1, len(clusters)).Draw(rt, "used")], ","))
	put(xds.TypeRoute, "direct", clusters[len(clusters)-1])
	u.Scopes["web"] = slices.Collect(maps.Keys(w.members))
	return u
}

// modelEnvoy asks for the endpoints of the clusters that it has, as Envoy does.
type modelEnvoy struct {
	*modelClient
	routes map[string][]string // the clusters of each route
	warm   map[string]bool     // the clusters in use
	// awaiting are the clusters that came and that no endpoints followed yet,
	// however often the client has reconnected.
	awaiting map[string]bool
	taken    map[string]string // the versions of the clusters
}

func (e *modelEnvoy) check(typeURL string, changed map[string]string, removed []string) {
	switch typeURL {
	case xds.TypeCluster:
		e.clusters(changed, removed)
	case xds.TypeEndpoint:
		for name := range changed {
			e.warm[name] = e.types[xds.TypeCluster].held[name] != ""
			delete(e.awaiting, name)
		}
	case xds.TypeRoute:
		for name, version := range changed {
			e.routes[name] = e.destinations(name, version)
			for _, cluster := range e.routes[name] {
				if !e.warm[cluster] {
					e.t.Fatalf("route %q needs cluster %q, which is not in use: %v", name, cluster, e.warm)
				}
			}
		}
	}
}

func (e *modelEnvoy) clusters(changed map[string]string, removed []string) {
	for route, clusters := range e.routes {
		for _, gone := range removed {
			if slices.Contains(clusters, gone) {
				e.t.Fatalf("cluster %q goes while route %q needs it", gone, route)
			}
		}
	}
	for _, name := range removed {
		delete(e.warm, name)
		delete(e.awaiting, name)
		delete(e.taken, name)
	}
	for name, version := range changed {
		if e.taken[name] != version { // else it is no change to Envoy
			e.taken[name], e.awaiting[name] = version, true
		}
	}
	have := e.typ(xds.TypeEndpoint).names
	var add, drop []string
	for name := range changed {
		if !have[name] {
			add = append(add, name)
		}
	}
	for name := range have {
		if e.types[xds.TypeCluster].held[name] == "" {
			drop = append(drop, name)
		}
	}
	if len(add)+len(drop) > 0 {
		slices.Sort(add)
		slices.Sort(drop)
		e.subscribe(xds.TypeEndpoint, add, drop)
	}
}

func (e *modelEnvoy) destinations(name, version string) []string {
	for _, r := range e.bodies {
		if r.Type == xds.TypeRoute && r.Name == name && r.Version == version {
			body, err := r.Any()
			if err != nil {
				e.t.Fatal(err)
			}
			m, err := body.UnmarshalNew()
			if err != nil {
				e.t.Fatal(err)
			}
			return strings.Split(m.(interface{ GetInternalOnlyHeaders() []string }).GetInternalOnlyHeaders()[0], ",")
		}
	}
	return nil
}
