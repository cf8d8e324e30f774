package controlplane_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/controlplane"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/xds"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder keeps the transactions that it is given.
type recorder struct {
	mu      sync.Mutex
	updates []xds.Update
}

func (r *recorder) Apply(u xds.Update) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.updates = append(r.updates, u)
}

func (r *recorder) take() []xds.Update {
	r.mu.Lock()
	defer r.mu.Unlock()
	updates := r.updates
	r.updates = nil
	return updates
}

// wait polls until n transactions came, and takes them.
func (r *recorder) wait(t *testing.T, n int) []xds.Update {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		r.mu.Lock()
		got := len(r.updates)
		r.mu.Unlock()
		if got >= n {
			return r.take()
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d transactions came, want %d", got, n)
		}
		<-tick.C
	}
}

func put(u xds.Update) []string {
	var names []string
	for _, r := range u.Put {
		names = append(names, r.Type[strings.LastIndexByte(r.Type, '.')+1:]+"/"+r.Name)
	}
	slices.Sort(names)
	return names
}

type fixture struct {
	catalog  *catalog.Catalog
	plane    *controlplane.ControlPlane
	out      *recorder
	revision int64
}

func start(t *testing.T, cfg controlplane.Config) *fixture {
	t.Helper()
	f := &fixture{catalog: catalog.New(catalog.Config{}), out: &recorder{}}
	cfg.Catalog = f.catalog
	f.plane = controlplane.New(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.plane.Run(ctx, f.out) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run ended with %v", err)
		}
	})
	return f
}

func (f *fixture) apply(changes ...mesh.Change) {
	f.revision++
	f.catalog.Apply(f.revision, true, changes)
}

func declared(name string, dependencies ...mesh.ServiceName) mesh.Change {
	if dependencies == nil {
		dependencies = []mesh.ServiceName{}
	}
	return mesh.Change{Service: &mesh.Service{Name: mesh.ServiceName(name), Owner: "team-a", Protocol: mesh.HTTP, Port: 80, Dependencies: dependencies}}
}

func registered(service, id string) mesh.Change {
	return mesh.Change{Instance: &mesh.Instance{ID: mesh.InstanceID(id), Service: mesh.ServiceName(service), Address: "127.0.0.1", Port: 8080}}
}

func node(id string) *corev3.Node { return &corev3.Node{Id: id} }

func (f *fixture) open(t *testing.T, id string) (scope string, closeScope func()) {
	t.Helper()
	scope, closeScope, err := f.plane.Open(t.Context(), node(id))
	if err != nil {
		t.Fatal(err)
	}
	return scope, closeScope
}

func TestAStreamFindsItsScopeApplied(t *testing.T) {
	f := start(t, controlplane.Config{})
	f.apply(declared("web", "orders"), declared("orders"), registered("orders", "1"))
	scope, closeScope := f.open(t, "web/web-1")
	updates := f.out.take()
	if len(updates) != 1 || scope != "web" || len(updates[0].Scopes["web"]) == 0 {
		t.Fatalf("scope %q, transactions %+v", scope, updates)
	}
	for _, want := range []string{"Cluster/orders", "ClusterLoadAssignment/orders"} {
		if !slices.Contains(put(updates[0]), want) {
			t.Errorf("%s is not among %v", want, put(updates[0]))
		}
	}
	_, closeSecond := f.open(t, "web/web-2")
	if more := f.out.take(); len(more) != 0 {
		t.Errorf("a second proxy of the same scope was translated for again: %v", more)
	}
	closeScope()
	closeSecond()
	last := f.out.wait(t, 1)
	if members, named := last[0].Scopes["web"]; len(last) != 1 || !named || members != nil {
		t.Errorf("after its last proxy left, the scope is not taken away: %+v", last)
	}
}

func TestAChangeTouchesOnlyThoseWhoDeclaredIt(t *testing.T) {
	f := start(t, controlplane.Config{})
	f.apply(declared("web", "orders"), declared("orders"), declared("stock"))
	_, closeScope := f.open(t, "web/web-1")
	defer closeScope()
	f.out.take()

	f.apply(registered("orders", "1"))
	if got := put(f.out.wait(t, 1)[0]); !slices.Equal(got, []string{"ClusterLoadAssignment/orders"}) {
		t.Errorf("an instance changed %v, want its endpoints alone", got)
	}
	f.apply(registered("stock", "1"), declared("stock"), declared("new"))
	f.apply(registered("orders", "2")) // comes behind, so the one before is done too
	for _, u := range f.out.wait(t, 1) {
		for _, name := range put(u) {
			if strings.Contains(name, "stock") || strings.Contains(name, "new") {
				t.Errorf("web was sent %s, which it did not declare", name)
			}
		}
	}
	f.apply(declared("web", "orders", "stock"))
	if got := put(f.out.wait(t, 1)[0]); !slices.Contains(got, "ClusterLoadAssignment/stock") {
		t.Errorf("after web declared stock it is sent %v", got)
	}
}

// TestTierAndDeprecationReachNoProxy holds that they are for people: what proxies
// have keeps its versions, so that nothing is sent.
func TestTierAndDeprecationReachNoProxy(t *testing.T) {
	f := start(t, controlplane.Config{})
	f.apply(declared("web", "orders"), declared("orders"), registered("orders", "1"))
	_, closeScope := f.open(t, "web/web-1")
	defer closeScope()
	before := f.out.take()[0]
	versions := map[xds.Key]string{}
	for _, r := range before.Put {
		versions[xds.Key{Type: r.Type, Name: r.Name}] = r.Version
	}
	web, orders := declared("web", "orders"), declared("orders")
	web.Service.Tier, web.Service.Deprecated = 1, "use shop instead"
	orders.Service.Tier, orders.Service.Deprecated = 3, "use billing instead"
	f.apply(web, orders)
	after := f.out.wait(t, 1)[0]
	if !slices.Equal(before.Scopes["web"], after.Scopes["web"]) {
		t.Errorf("web holds %v, and held %v", after.Scopes["web"], before.Scopes["web"])
	}
	if len(after.Put) == 0 {
		t.Error("nothing was translated anew, so nothing is shown here")
	}
	for _, r := range after.Put {
		if was := versions[xds.Key{Type: r.Type, Name: r.Name}]; r.Version != was {
			t.Errorf("%s %s has version %s, and had %s", r.Type, r.Name, r.Version, was)
		}
	}
}

func TestADeletedServiceLeavesItsOwnProxiesAsTheyAre(t *testing.T) {
	f := start(t, controlplane.Config{})
	f.apply(declared("web", "orders"), declared("orders", "stock"), declared("stock"))
	_, closeWeb := f.open(t, "web/1")
	defer closeWeb()
	_, closeOrders := f.open(t, "orders/1")
	defer closeOrders()
	f.out.take()
	gone := declared("orders")
	gone.Deleted = true
	f.apply(gone)
	u := f.out.wait(t, 1)[0]
	if _, touched := u.Scopes["orders"]; touched {
		t.Error("the proxies of the deleted service lost their configuration")
	}
	if _, touched := u.Scopes["web"]; !touched {
		t.Error("its callers were not told")
	}
	_, _, err := f.plane.Open(t.Context(), node("orders/2"))
	if status.Code(err) != codes.NotFound {
		t.Errorf("a new proxy of the deleted service gets %v", err)
	}
}

func TestNobodyIsServedBeforeTheMeshIsKnown(t *testing.T) {
	f := start(t, controlplane.Config{SyncTimeout: 30 * time.Millisecond})
	f.catalog.Apply(1, false, []mesh.Change{declared("web")})
	_, _, err := f.plane.Open(t.Context(), node("web/1"))
	if status.Code(err) != codes.Unavailable {
		t.Fatalf("before the mesh is known: %v", err)
	}

	f = start(t, controlplane.Config{})
	opened := make(chan error, 1)
	go func() {
		_, closeScope, err := f.plane.Open(t.Context(), node("web/1"))
		if err == nil {
			closeScope()
		}
		opened <- err
	}()
	f.apply(declared("web"))
	if err := <-opened; err != nil {
		t.Errorf("a stream that waited was refused: %v", err)
	}
}

func TestAStreamThatGivesUpIsNotCounted(t *testing.T) {
	f := start(t, controlplane.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error, 1)
	go func() {
		_, _, err := f.plane.Open(ctx, node("web/1"))
		gaveUp <- err
	}()
	cancel()
	if err := <-gaveUp; status.Code(err) != codes.Canceled {
		t.Errorf("gave up with %v", err)
	}
	f.apply(declared("web"))
	_, closeScope := f.open(t, "web/2")
	closeScope()
	deadline := time.Now().Add(5 * time.Second)
	for {
		updates := f.out.take()
		if len(updates) > 0 && updates[len(updates)-1].Scopes["web"] == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the scope stays although both streams have ended")
		}
	}
}

func TestAfterTheEndOpenIsRefused(t *testing.T) {
	plane := controlplane.New(controlplane.Config{Catalog: catalog.New(catalog.Config{})})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := plane.Run(ctx, &recorder{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := plane.Open(t.Context(), node("web/1")); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
}

func TestNodesThatCannotBeServedAreToldWhy(t *testing.T) {
	f := start(t, controlplane.Config{})
	f.apply(declared("web"))
	metadata := func(value any) *corev3.Node {
		s, err := structpb.NewStruct(map[string]any{"heddle": value})
		if err != nil {
			t.Fatal(err)
		}
		return &corev3.Node{Id: "web/1", Metadata: s}
	}
	for name, c := range map[string]struct {
		node *corev3.Node
		code codes.Code
		says string
	}{
		"no node":         {nil, codes.InvalidArgument, "empty"},
		"empty":           {node(""), codes.InvalidArgument, "empty"},
		"huge":            {node(strings.Repeat("a", 600) + "/1"), codes.InvalidArgument, "512"},
		"not UTF-8":       {node("web/\xff"), codes.InvalidArgument, "UTF-8"},
		"no instance":     {node("web"), codes.InvalidArgument, "<service>/<instance>"},
		"hostile":         {node("web/../../etc"), codes.InvalidArgument, "instance"},
		"unknown service": {node("wep/1"), codes.NotFound, `"wep" is not declared`},
		"metadata: list":  {metadata([]any{}), codes.InvalidArgument, "heddle"},
		"metadata: field": {metadata(map[string]any{"appProt": 1}), codes.InvalidArgument, "appProt"},
		"metadata: port":  {metadata(map[string]any{"appPort": 99999}), codes.InvalidArgument, "65535"},
		"gRPC: Envoy's":   {grpcNode(metadata(map[string]any{"appPort": 80})), codes.InvalidArgument, "is for an Envoy"},
		"metadata: other": {metadata(map[string]any{"service": "orders"}), codes.InvalidArgument, "different proxies"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := f.plane.Open(t.Context(), c.node)
			if status.Code(err) != c.code || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %s with %q", err, c.code, c.says)
			}
		})
	}
	if updates := f.out.take(); len(updates) != 0 {
		t.Errorf("a refused node caused %v", updates)
	}
}

func grpcNode(n *corev3.Node) *corev3.Node {
	n.UserAgentName = "gRPC Node Pure JS"
	return n
}

// A bootstrap written by hand, without a profile: its client would be told of
// sidecars' listeners, and nothing of the services that it asks for.
func TestAGRPCLibraryIsKnownByItsUserAgent(t *testing.T) {
	f := start(t, controlplane.Config{})
	f.apply(declared("web"))
	for _, c := range []struct {
		node  *corev3.Node
		scope string
	}{{grpcNode(node("web/1")), "web.proxyless"}, {node("web/2"), "web"}} {
		scope, closeScope, err := f.plane.Open(t.Context(), c.node)
		if err != nil {
			t.Fatal(err)
		}
		closeScope()
		if scope != c.scope {
			t.Errorf("%s by %q has the scope %q, want %q", c.node.Id, c.node.UserAgentName, scope, c.scope)
		}
	}
}

func TestProblemsAreGatheredOnce(t *testing.T) {
	f := start(t, controlplane.Config{})
	tcp := func(name string) mesh.Change {
		c := declared(name)
		c.Service.Protocol, c.Service.Port = mesh.TCP, 5432
		return c
	}
	f.apply(declared("web", "one", "two"), tcp("one"), tcp("two"))
	_, closeScope := f.open(t, "web/1")
	if got := f.plane.Problems(); len(got) != 1 || !strings.Contains(got[0].Message, "5432") {
		t.Errorf("problems %+v, want the one port that two dependencies ask for", got)
	}
	closeScope()
	f.out.wait(t, 2)
	if got := f.plane.Problems(); len(got) != 0 {
		t.Errorf("problems of a scope that nobody uses: %+v", got)
	}
}

// TestARefusalNamesWhoMadeTheVersion has the owner of a dependency change what
// its callers are sent, and then writes that leave it as it is.
func TestARefusalNamesWhoMadeTheVersion(t *testing.T) {
	f := start(t, controlplane.Config{})
	write := func(c mesh.Change, author string, change func(*mesh.Service)) {
		meta := mesh.Meta{Revision: f.revision + 1, Author: author}
		c.Service.Meta = meta
		change(c.Service)
		f.apply(c)
	}
	first := []mesh.Change{declared("hello"), declared("greeter", "hello"), registered("hello", "1")}
	first[0].Service.Meta = mesh.Meta{Revision: 1, Author: "helen"}
	first[1].Service.Meta = mesh.Meta{Revision: 2, Author: "gus"}
	first[2].Instance.Meta = mesh.Meta{Revision: 3, Author: "proxy"}
	f.revision = 2
	f.apply(first...) // at once: a scope may be opened before the loop has seen a later change
	_, closeScope := f.open(t, "greeter/1")
	defer closeScope()

	made := func(step string, want map[string]xds.Origin) map[string]string {
		t.Helper()
		versions := map[string]string{}
		for _, r := range f.out.wait(t, 1)[0].Put {
			name := r.Type[strings.LastIndexByte(r.Type, '.')+1:] + "/" + r.Name
			versions[name] = r.Version
			if origin, asked := want[name]; asked && r.Origin != origin {
				t.Errorf("%s: %s is from %+v, want %+v", step, name, r.Origin, origin)
			}
		}
		for name := range want {
			if versions[name] == "" {
				t.Errorf("%s: %s is not among what was made", step, name)
			}
		}
		return versions
	}
	const listener, routes, cluster, endpoints = "Listener/outbound.greeter", "RouteConfiguration/outbound.greeter", "Cluster/hello", "ClusterLoadAssignment/hello"
	gus := xds.Origin{Object: "service/greeter", Author: "gus", Revision: 2}
	proxy := xds.Origin{Object: "instance/hello/1", Author: "proxy", Revision: 3}
	made("at first", map[string]xds.Origin{
		listener: gus, routes: gus, endpoints: proxy, cluster: {Object: "service/hello", Author: "helen", Revision: 1},
	})

	rule := func(s *mesh.Service) {
		s.Routes = []mesh.RouteRule{{Match: mesh.RequestMatch{Path: &mesh.PathMatch{Regex: "/a.*"}}}}
	}
	write(declared("hello"), "hugo", rule)
	hugo := xds.Origin{Object: "service/hello", Author: "hugo", Revision: 4}
	changed := made("a rule of the dependency", map[string]xds.Origin{listener: gus, routes: hugo, endpoints: proxy})

	write(declared("greeter", "hello"), "gina", func(s *mesh.Service) { s.Description = "says hello" })
	same := made("a description", map[string]xds.Origin{listener: gus, routes: hugo, endpoints: proxy})
	if same[routes] != changed[routes] {
		t.Error("the routes have another version although they are as they were")
	}

	write(declared("greeter", "hello", "more"), "gina", func(*mesh.Service) {})
	made("one more dependency", map[string]xds.Origin{listener: gus, routes: {Object: "service/greeter", Author: "gina", Revision: 6}})
}

func TestCallersAreToldOfAServiceThatCannotBeRead(t *testing.T) {
	f := start(t, controlplane.Config{})
	unreadable := mesh.Change{Service: &mesh.Service{Name: "orders"}, Deleted: true, Unreadable: true}
	f.apply(declared("web", "orders"), unreadable)
	_, closeScope := f.open(t, "web/1")
	defer closeScope()
	routes := func() string {
		for _, r := range f.out.wait(t, 1)[0].Put {
			if r.Name == "outbound.web" && r.Type == xds.TypeRoute {
				envelope, err := r.Any()
				if err != nil {
					t.Fatal(err)
				}
				return string(envelope.Value)
			}
		}
		return "none"
	}
	if got := routes(); !strings.Contains(got, `declaration of service "orders" cannot be read`) {
		t.Errorf("callers are told %q", got)
	}
	if _, _, err := f.plane.Open(t.Context(), node("orders/1")); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("its own proxies are told %v", err)
	}
	unreadable.Unreadable = false // the key was deleted
	f.apply(unreadable)
	if got := routes(); !strings.Contains(got, `no service "orders" is declared yet`) {
		t.Errorf("once it is gone callers are told %q", got)
	}
}
