package insight_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

var now = time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// view makes a mesh of changes.
func view(changes ...mesh.Change) *catalog.View {
	c := catalog.New(catalog.Config{})
	c.Apply(7, true, changes)
	return c.View()
}

func service(name string, callees ...mesh.ServiceName) mesh.Change {
	return mesh.Change{Service: &mesh.Service{Name: mesh.ServiceName(name), Owner: "team-" + name, Protocol: mesh.HTTP, Port: 80, Dependencies: callees}}
}

func instance(service, id string, health mesh.Health, stale bool) mesh.Change {
	return mesh.Change{Instance: &mesh.Instance{Service: mesh.ServiceName(service), ID: mesh.InstanceID(id), Health: health, Stale: stale}}
}

// watched are reporters that were watched for long.
func watched(names ...string) []insight.Reporter {
	var out []insight.Reporter
	for _, name := range names {
		out = append(out, insight.Reporter{Name: name, Since: now.Add(-100 * day), Through: now})
	}
	return out
}

func picture(t *testing.T, v *catalog.View, seen []mesh.Edge, o insight.TopologyOptions) mesh.Topology {
	t.Helper()
	o.Now = now
	got, err := insight.Topology(v, insight.Observed{Edges: seen, Reporters: watched("old", "web")}, o)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestTopologyTellsEachStateOfAnEdge(t *testing.T) {
	old := service("old", "idle", "stopped")
	old.Service.Meta.UpdatedAt = now.Add(-90 * day)
	web := service("web", "orders", "fresh", "nobody", "guarded", "refuser")
	web.Service.Meta.UpdatedAt = now.Add(-day)
	guarded := service("guarded")
	guarded.Service.Access = mesh.Access{Callers: mesh.ApprovedCallers, Approved: []string{"old"}}
	shop := mesh.Change{Route: &mesh.Route{Name: "shop", Gateways: []mesh.ServiceName{"edge"}, Backends: []mesh.WeightedBackend{{Service: "web", Weight: 1}}}}
	v := view(web, old, guarded, shop,
		service("orders"), service("fresh"), service("refuser"), service("idle"), service("stopped"))
	seen := []mesh.Edge{
		{Caller: "web", Callee: "orders", Requests: 5, RequestRate: 2, FirstSeen: now.Add(-100 * day), LastSeen: now, LastRefused: now.Add(-2 * time.Hour)},
		{Caller: "web", Callee: "refuser", Refused: 1, FirstSeen: now, LastSeen: now, LastRefused: now.Add(-time.Minute), Reason: "caller"},
		{Caller: "web", Callee: "guarded", Refused: 1, FirstSeen: now, LastSeen: now, LastRefused: now},
		{Caller: "old", Callee: "stopped", FirstSeen: now.Add(-90 * day), LastSeen: now.Add(-40 * day)},
		{Caller: "web", Callee: "api.example.com", Undeclared: 3, FirstSeen: now, LastSeen: now, LastRefused: now, Reason: "undeclared"},
		{Caller: "orders", Callee: "web", Requests: 3, FirstSeen: now, LastSeen: now}, // was declared once
		{Caller: "orders", Callee: "idle", Undeclared: 3, FirstSeen: now.Add(-90 * day), LastSeen: now.Add(-40 * day)},
		{Caller: "gateway/edge", Callee: "web", Requests: 1, FirstSeen: now, LastSeen: now},
	}
	got := picture(t, v, seen, insight.TopologyOptions{})
	want := []string{
		"gateway/edge web seen", "old idle unused", "old stopped unused", "web api.example.com undeclared", "web fresh declared",
		"web guarded unapproved", "web nobody pending", "web orders seen", "web refuser refused",
	}
	if edges := edgesOf(got); !slices.Equal(edges, want) {
		t.Errorf("got  %q\nwant %q", edges, want)
	}
	if got.Revision != 7 {
		t.Errorf("revision %d", got.Revision)
	}
	for _, one := range got.Nodes {
		if one.ID == "orders" && (one.RequestRate != 2 || one.Owner != "team-orders" || one.Kind != mesh.ServiceNode) {
			t.Errorf("orders: %+v", one)
		}
	}
}

func edgesOf(t mesh.Topology) []string {
	var out []string
	for _, e := range t.Edges {
		out = append(out, fmt.Sprint(e.From, " ", e.To, " ", e.State))
	}
	return out
}

func nodesOf(t mesh.Topology) string {
	var out []string
	for _, n := range t.Nodes {
		out = append(out, n.ID)
	}
	return strings.Join(out, " ")
}

func TestTopologyTellsTheHealthOfNodes(t *testing.T) {
	outside := service("outside")
	outside.Service.Endpoints.DNS = &mesh.DNSEndpoints{Host: "example.com"}
	v := view(outside, service("none"), service("well", "nobody"), service("partly"), service("kept"), service("down"), service("rolling"),
		instance("well", "1", "", false), instance("well", "2", mesh.Healthy, false),
		instance("partly", "1", mesh.Unhealthy, false), instance("partly", "2", mesh.Healthy, false),
		instance("kept", "1", mesh.Healthy, true),
		instance("down", "1", mesh.Unhealthy, false), instance("down", "2", mesh.Draining, false),
		instance("rolling", "1", mesh.Draining, false), instance("rolling", "2", mesh.Healthy, false))
	got := picture(t, v, []mesh.Edge{{Caller: "well", Callee: "host.example.com", Undeclared: 1, LastSeen: now}}, insight.TopologyOptions{})
	want := map[string]mesh.NodeHealth{
		"outside": mesh.NodeUnknown, "none": mesh.NodeNone, "well": mesh.NodeHealthy, "partly": mesh.NodeDegraded, "kept": mesh.NodeDegraded,
		"down": mesh.NodeDown, "rolling": mesh.NodeDegraded, "nobody": mesh.NodePending, "host.example.com": mesh.NodeUnknown,
	}
	for _, one := range got.Nodes {
		if one.Health != want[one.ID] {
			t.Errorf("%s is %s, want %s", one.ID, one.Health, want[one.ID])
		}
	}
	if len(got.Nodes) != len(want) {
		t.Errorf("%d nodes, want %d", len(got.Nodes), len(want))
	}
}

func TestFocusShowsCallersAndCalleesUpToTheDepth(t *testing.T) {
	v := view(service("a", "b"), service("b", "c", "x"), service("c", "d"), service("d", "e"), service("e"), service("x"), service("alone"))
	for _, test := range []struct {
		depth       int
		nodes, edge string
	}{
		{0, "c", ""},
		{1, "b c d", "b c,c d"},
		{2, "a b c d e", "a b,b c,c d,d e"},
		{9, "a b c d e", "a b,b c,c d,d e"},
	} {
		got := picture(t, v, nil, insight.TopologyOptions{Focus: "c", Depth: test.depth})
		edges := strings.ReplaceAll(strings.Join(edgesOf(got), ","), " declared", "")
		if nodesOf(got) != test.nodes || edges != test.edge {
			t.Errorf("depth %d: %s; %s", test.depth, nodesOf(got), edges)
		}
	}
	if _, err := insight.Topology(v, insight.Observed{}, insight.TopologyOptions{Focus: "nobody", Depth: 1}); mesh.KindOf(err) != mesh.KindNotFound {
		t.Errorf("an unknown focus: %v", err)
	}
}

func TestRoutesOfNoGatewayAreOnEachThatIsKnown(t *testing.T) {
	anywhere := mesh.Change{Route: &mesh.Route{Name: "any", Backends: []mesh.WeightedBackend{{Service: "web", Weight: 1}}}}
	v := view(service("web"), anywhere)
	if got := edgesOf(picture(t, v, nil, insight.TopologyOptions{})); !slices.Equal(got, []string{"gateway/* web declared"}) {
		t.Errorf("without a gateway: %q", got)
	}
	seen := []mesh.Edge{{Caller: "gateway/edge", Callee: "web", Requests: 1, LastSeen: now}}
	if got := edgesOf(picture(t, v, seen, insight.TopologyOptions{})); !slices.Equal(got, []string{"gateway/edge web seen"}) {
		t.Errorf("with one that was seen: %q", got)
	}
}
