package server_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

func TestLifeOfWhatAKeeperHas(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	admin, cluster := w.client(w.admin), w.client(w.token(registry.Token{Kind: registry.KeeperToken, Keeper: keeperOfPods}))
	declared, err := cluster.KeptBy(keeperOfOrders).PutService(ctx, service("orders"))
	if err != nil || declared.Meta.Keeper != keeperOfOrders || declared.Meta.Source != "kubernetes" {
		t.Fatalf("%+v, %v", declared.Meta, err)
	}
	if _, err := admin.PutService(ctx, service("orders")); mesh.ReasonOf(err) != mesh.ReasonKept {
		t.Errorf("somebody else's write: %v", err)
	}
	pods := cluster.KeptBy(keeperOfPods)
	set := make([]mesh.Instance, 10)
	for i := range set {
		set[i] = mesh.Instance{ID: mesh.InstanceID(fmt.Sprintf("orders-%d.shop.prod", i)), Address: "10.1.0.7", Port: 15006, MTLS: true}
	}
	if kept, err := pods.KeepInstances(ctx, "orders", set); err != nil || kept.Written != 10 || kept.Revision == 0 {
		t.Fatalf("%+v, %v", kept, err)
	}
	w.seen()
	if got := w.catalog.View().Instances("orders"); len(got) != 10 || got[0].Meta.Keeper != keeperOfPods {
		t.Fatalf("the catalog has %d", len(got))
	}
	if _, err := admin.Register(ctx, []mesh.Instance{instance("orders", "vm-1")}, 0); err != nil {
		t.Error(err)
	}
	if _, err := admin.SetHealth(ctx, mesh.InstanceKey{Service: "orders", ID: set[0].ID}, "", mesh.Draining); mesh.ReasonOf(err) != mesh.ReasonKept {
		t.Error(err)
	}
	// An empty set is meant, and is no mass expiry.
	if kept, err := pods.KeepInstances(ctx, "orders", nil); err != nil || kept.Removed != 10 {
		t.Fatalf("%+v, %v", kept, err)
	}
	w.eventually("the pods are gone", func() bool {
		got := w.catalog.View().Instances("orders")
		return len(got) == 1 && got[0].ID == "vm-1" && !got[0].Stale
	})
	if _, err := pods.KeepInstances(ctx, "orders", set); err != nil {
		t.Fatal(err)
	}
	if err := cluster.KeptBy(keeperOfOrders).DeleteService(ctx, "orders", 0); err != nil {
		t.Fatal(err)
	}
	w.eventually("the pods go with the declaration", func() bool { return len(w.catalog.View().Instances("orders")) == 1 })
}

func TestAPartOfASetIsChanged(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	pods := w.client(w.token(registry.Token{Kind: registry.KeeperToken, Keeper: keeperOfPods})).KeptBy(keeperOfPods)
	w.declare(strings.Replace(ordersBody, `"dependencies"`, `"endpoints":{"kubernetes":{"namespace":"shop","clusters":["prod"]}},"dependencies"`, 1))
	set := make([]mesh.Instance, 3)
	for i := range set {
		set[i] = mesh.Instance{ID: mesh.InstanceID(fmt.Sprintf("orders-%d.shop.prod", i)), Address: "10.1.0.7", Port: 15006}
	}
	whole, err := pods.KeepInstances(ctx, "orders", set[:2])
	if err != nil {
		t.Fatal(err)
	}
	change := mesh.KeptChange{Base: whole.Base, Instances: set[2:], Removed: []mesh.InstanceID{set[0].ID}}
	if changed, err := pods.ChangeKept(ctx, "orders", change); err != nil || changed.Written != 1 || changed.Removed != 1 {
		t.Fatalf("%+v, %v", changed, err)
	}
	if _, err := pods.ChangeKept(ctx, "orders", change); mesh.ReasonOf(err) != mesh.ReasonStale {
		t.Errorf("from a base that is past: %v", err)
	}
	if got, err := pods.Instances(ctx, "orders"); err != nil || len(got) != 2 || got[0].ID != set[1].ID || got[1].ID != set[2].ID {
		t.Errorf("%+v, %v", got, err)
	}
	for body, want := range map[string]string{
		`{}`:                       "base",
		`{"base":-1}`:              "base",
		`{"base":1,"instance":[]}`: "instance",
		`{"base":1,"instances":[{"id":"a","address":"10.0.0.1","port":80}],"removed":["a"]}`: "removed[0]",
		`{"base":1,"instances":[{"id":"a","address":"127.0.0.1","port":80}]}`:                "instances[0].address",
	} {
		if p := w.write("PATCH", "/api/v1/services/orders/instances", body, "X-Heddle-Keeper: "+string(keeperOfPods)).problem(t); p.Status != 422 || len(p.Errors) == 0 || p.Errors[0].Path != want {
			t.Errorf("%s: %+v", body, p)
		}
	}
}

func TestASetHasToBeGivenAsAWhole(t *testing.T) {
	w := newWorld(t)
	w.declare(ordersBody)
	keeper := "X-Heddle-Keeper: " + string(keeperOfPods)
	for body, want := range map[string]string{
		`{}`:                 "instances", // a forgotten field must not empty a service
		`{"instances":null}`: "instances",
		`{"instances":[{"id":"a","address":"10.0.0.1","port":80,"service":"web"}]}`:                                  "instances[0].service",
		`{"instances":[{"id":"a","address":"10.0.0.1","port":80},{"id":"a","address":"10.0.0.1","port":80}]}`:        "instances[1].id",
		`{"instances":[{"id":"a","address":"0.0.0.0","port":80,"health":"removed"}]}`:                                "instances[0].address",
		`{"instances":[{"id":"a","address":"10.0.0.1","port":80},{"id":"b","address":"pod","port":80,"weight":-1}]}`: "instances[1].address",
	} {
		if p := w.write("PUT", "/api/v1/services/orders/instances", body, keeper).problem(t); p.Status != 422 || len(p.Errors) == 0 || p.Errors[0].Path != want {
			t.Errorf("%s: %+v", body, p)
		}
	}
	for header, want := range map[string]int{"": 422, "X-Heddle-Keeper: " + string(keeperOfOrders): 422, "X-Heddle-Keeper: me": 422, keeper: 200} {
		var headers []string
		if header != "" {
			headers = append(headers, header)
		}
		if got := w.write("PUT", "/api/v1/services/orders/instances", `{"instances":[]}`, headers...); got.status != want {
			t.Errorf("%q: %d %s", header, got.status, got.body)
		}
	}
	// Thousands of pods are more than other bodies may have.
	var all strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&all, `{"id":"orders-%d","address":"10.0.0.1","port":80,"labels":{"app":%q}},`, i, strings.Repeat("x", 200))
	}
	got := w.write("PUT", "/api/v1/services/orders/instances", `{"instances":[`+strings.TrimSuffix(all.String(), ",")+`]}`, keeper)
	if got.status != 200 || !strings.Contains(got.body, `"written":5000`) {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestAKeepersToken(t *testing.T) {
	w := newSecure(t)
	w.declare(ordersBody)
	w.declare(strings.Replace(ordersBody, `"orders"`, `"web","endpoints":{"kubernetes":{"clusters":["test","prod"],"namespace":"shop"}}`, 1))
	w.declare(strings.Replace(ordersBody, `"orders"`, `"far","endpoints":{"kubernetes":{"clusters":["test"],"namespace":"shop"}}`, 1))
	secret := w.token(registry.Token{Kind: registry.KeeperToken, Keeper: keeperOfPods})
	as := func(keeper mesh.Keeper, method, path, body string) reply {
		headers := []string{"Authorization: Bearer " + secret}
		if keeper != "" {
			headers = append(headers, "X-Heddle-Keeper: "+string(keeper))
		}
		return w.call(method, path, body, headers...)
	}
	kept := strings.Replace(ordersBody, "orders", "kept", 1)
	const pod = `{"instances":[{"id":"a","address":"10.0.0.1","port":80}]}`
	route := func(name, service, host string) string {
		return strings.NewReplacer(`"shop"`, `"`+name+`"`, `"orders"`, `"`+service+`"`, "shop.example.com", host+".example.com").Replace(routeBody)
	}
	for i, c := range []struct {
		keeper             mesh.Keeper
		method, path, body string
		status             int
		says               string
	}{
		{keeperOfOrders, "PUT", "/api/v1/services/kept", kept, 200, ""},
		{"", "PUT", "/api/v1/services/kept", kept, 403, "say which keeper writes"},
		{"kubernetes/production/shop/orders", "PUT", "/api/v1/services/kept", kept, 403, "may not write as keeper"},
		{"kubernetes/test/shop/orders", "PUT", "/api/v1/services/new", strings.Replace(kept, "kept", "new", 1), 403, "may not write as keeper"},
		{"kubernetes/prod/shop/other", "PUT", "/api/v1/services/kept", kept, 409, `"reason":"taken"`},
		{keeperOfOrders, "PUT", "/api/v1/services/orders", ordersBody, 409, `"reason":"taken"`},
		{keeperOfPods, "PUT", "/api/v1/services/kept/instances", pod, 200, `"written":1`},
		{keeperOfPods, "PUT", "/api/v1/services/web/instances", pod, 200, `"written":1`},
		{keeperOfPods, "PUT", "/api/v1/services/far/instances", pod, 403, "does not have Kubernetes cluster"},
		{keeperOfPods, "PUT", "/api/v1/services/orders/instances", pod, 403, "does not have Kubernetes cluster"},
		{keeperOfPods, "PUT", "/api/v1/services/orders/instances", `{"instances":[]}`, 200, ""}, // what it has no right to any more it may give up
		{"kubernetes/test", "PUT", "/api/v1/services/web/instances", pod, 403, "may not write as keeper"},
		{keeperOfPods, "POST", "/api/v1/instances", `{"service":"kept","id":"b","address":"10.0.0.1","port":80}`, 403, "whole set"},
		{keeperOfPods, "POST", "/api/v1/tokens", `{"kind":"join","service":"kept"}`, 201, ""},
		{keeperOfPods, "POST", "/api/v1/tokens", `{"kind":"join","service":"web","ttl":"1m"}`, 201, ""},
		{keeperOfPods, "POST", "/api/v1/tokens", `{"kind":"join","service":"web","ttl":"1h"}`, 403, "for one use within"},
		{keeperOfPods, "POST", "/api/v1/tokens", `{"kind":"join","service":"web","uses":2}`, 403, "for one use within"},
		{keeperOfPods, "POST", "/api/v1/tokens", `{"kind":"join","service":"orders"}`, 403, "none of those"},
		{keeperOfPods, "POST", "/api/v1/tokens", `{"kind":"join","service":"nobodys"}`, 403, "none of those"},
		{keeperOfPods, "POST", "/api/v1/tokens", `{"kind":"join","gateway":"edge"}`, 403, "does not vouch"},
		{keeperOfPods, "POST", "/api/v1/tokens", `{"kind":"instances","service":"kept"}`, 403, "no others"},
		{keeperOfPods, "POST", "/api/v1/tokens", `{"kind":"keeper","keeper":"kubernetes/prod"}`, 403, "no others"},
		{keeperOfPods, "POST", "/api/v1/tokens", `{}`, 403, "no others"},
		// Routes lead to what the cluster has, and take no host of another namespace.
		{keeperOfOrders, "PUT", "/api/v1/routes/theirs", route("theirs", "kept", "shop"), 200, ""},
		{keeperOfOrders, "PUT", "/api/v1/routes/pods", route("pods", "web", "pods"), 200, ""},
		{keeperOfOrders, "PUT", "/api/v1/routes/early", route("early", "nobodys", "early"), 403, "is not declared yet"},
		{keeperOfOrders, "PUT", "/api/v1/routes/none", route("none", string(mesh.NoBackend), "none"), 200, ""}, // of the Gateway API: nobody may declare it
		{keeperOfOrders, "PUT", "/api/v1/services/kept", strings.Replace(kept, `"dependencies"`, `"endpoints":{"static":[{"address":"127.0.0.1","port":15000}]},"dependencies"`, 1), 422, "endpoints.static[0].address"},
		{keeperOfOrders, "PUT", "/api/v1/routes/far", route("far", "far", "far"), 403, "no route of that cluster leads to it"},
		{keeperOfOrders, "PUT", "/api/v1/routes/orders", route("orders", "orders", "orders"), 403, "no route of that cluster leads to it"},
		{keeperOfOrders, "PUT", "/api/v1/routes/copy", strings.Replace(route("copy", "kept", "copy"), `"backends"`, `"mirror":{"service":"orders"},"backends"`, 1), 403, "no route of that cluster leads to it"},
		{"kubernetes/prod/shop/more", "PUT", "/api/v1/routes/more", route("more", "kept", "shop"), 200, ""},
		{"kubernetes/prod/shopping/more", "PUT", "/api/v1/routes/grab", route("grab", "kept", "shop"), 403, "within reach"},
		{"kubernetes/prod/shopping/more", "PUT", "/api/v1/routes/grab", route("grab", "kept", "grab"), 200, ""},
	} {
		got := as(c.keeper, c.method, c.path, c.body)
		if got.status != c.status || !strings.Contains(got.body, c.says) {
			t.Errorf("%d: %s %s by %q %s: %d %s", i, c.method, c.path, c.keeper, c.body, got.status, got.body)
		}
	}
	if got := w.write("PUT", "/api/v1/routes/shop", route("shop", "orders", "bank")); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if got := as(keeperOfOrders, "PUT", "/api/v1/routes/take", route("take", "kept", "bank")); got.status != 403 || !strings.Contains(got.body, "within reach") {
		t.Errorf("a host of a route of the same owner's was taken: %d %s", got.status, got.body)
	}
	owner := w.token(registry.Token{Owners: []string{"team-a"}})
	if got := w.call("PUT", "/api/v1/services/mine", strings.Replace(ordersBody, "orders", "mine", 1), "Authorization: Bearer "+owner, "X-Heddle-Keeper: "+string(keeperOfOrders)); got.status != 403 {
		t.Errorf("an owner wrote as a keeper: %d %s", got.status, got.body)
	}
	for body, want := range map[string]int{
		`{"kind":"keeper","keeper":"kubernetes/prod"}`: 201, `{"kind":"keeper"}`: 422, `{"keeper":"kubernetes/prod"}`: 422, `{"kind":"keeper","keeper":"kubernetes/prod/"}`: 422,
		`{"kind":"keeper","keeper":"kubernetes/prod","service":"orders"}`: 422, `{"kind":"keeper","keeper":""}`: 422, `{"kind":"keeper","keeper":"kubernetes/prod","ttl":"1m"}`: 422,
	} {
		if got := w.write("POST", "/api/v1/tokens", body); got.status != want || want == 201 && !strings.Contains(got.body, `"secret":"hds_`) {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
}

// Routes of one cluster's Gateway API may have one host: its Gateways say who may attach.
// Nobody else's host is within their reach, and they are within nobody's who does not speak
// for the whole cluster.
func TestRoutesOfOneGatewayAPIShareHosts(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	admin := w.client(w.admin)
	holder := func(keeper mesh.Keeper) *client.Client {
		return w.client(w.token(registry.Token{Kind: registry.KeeperToken, Keeper: keeper}))
	}
	prod, stage, namespaced := holder("kubernetes/prod"), holder("kubernetes/stage"), holder("kubernetes/prod/evil")
	shop, more := mesh.GatewayAPIKeeper("prod", "shop"), mesh.GatewayAPIKeeper("prod", "more")
	route := func(name, host string, gateways ...mesh.ServiceName) mesh.Route {
		return mesh.Route{Name: mesh.RouteName(name), Owner: "kept", Hosts: []string{host}, Gateways: gateways, Refuse: 500}
	}
	if _, err := admin.PutRoute(ctx, route("admins", "admin.example.com")); err != nil {
		t.Fatal(err)
	}
	if _, err := prod.KeptBy("kubernetes/prod/web/resource").PutRoute(ctx, route("resource", "resource.example.com", "edge")); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		by     *client.Client
		keeper mesh.Keeper
		route  mesh.Route
		says   string // "": it is written
	}{
		{prod, shop, route("shop-1", "*.example.org", "edge"), ""},
		{prod, more, route("more-1", "www.example.org", "edge"), ""},
		{prod, more, route("more-2", "*.example.org", "edge", "other"), ""},
		{prod, more, route("more-3", "admin.example.com", "edge"), "within reach"},              // another owner's, on every gateway
		{prod, more, route("more-3", "*.example.com", "edge"), "within reach"},                  // and from above
		{prod, more, route("more-3", "resource.example.com", "edge"), "within reach"},           // a MeshRoute's of another namespace
		{prod, more, route("more-3", "resource.example.com"), "within reach"},                   // on all gateways
		{prod, more, route("more-3", "resource.example.com", "another"), ""},                    // no gateway has both
		{prod, more, route("gateway-api", "www.example.org", "edge"), "within reach"},           // a MeshRoute of that name is none of the Gateway API's
		{prod, "kubernetes/prod/more/x", route("x", "www.example.org", "edge"), "within reach"}, // nor is any other
		{prod, "kubernetes/prod/evil/x", route("y", "www.example.org", "edge"), "within reach"},
		{stage, mesh.GatewayAPIKeeper("stage", "shop"), route("stage-1", "www.example.org", "edge"), "within reach"}, // another cluster's
		{stage, shop, route("stage-1", "www.example.org", "edge"), "may not write as keeper"},
		{namespaced, mesh.GatewayAPIKeeper("prod", "evil"), route("evil-1", "www.example.org", "edge"), "within reach"}, // passes by allowedRoutes
	} {
		_, err := c.by.KeptBy(c.keeper).PutRoute(ctx, c.route)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%d: %s by %s: %v, want %q", i, c.route.Name, c.keeper, err, c.says)
		}
	}
}

func TestAnAdminReleasesWhatIsKept(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	c := w.client(w.admin)
	kept := c.KeptBy(keeperOfOrders)
	orders := service("orders")
	orders.Access = mesh.Access{Callers: mesh.ApprovedCallers}
	if _, err := kept.PutService(ctx, orders); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Approve(ctx, "orders", "web"); mesh.ReasonOf(err) != mesh.ReasonKept || !strings.Contains(err.Error(), "access.approved") || !strings.Contains(err.Error(), "namespace shop") {
		t.Errorf("an approval that would be overwritten: %v", err)
	}
	released, err := c.ReleaseService(ctx, "orders", "")
	if err != nil || released.Meta.Keeper != "" || released.Access.Callers != mesh.ApprovedCallers {
		t.Fatalf("%+v, %v", released, err)
	}
	if again, err := c.ReleaseService(ctx, "orders", ""); err != nil || again.Meta.Revision != released.Meta.Revision {
		t.Errorf("%+v, %v", again, err)
	}
	if _, err := kept.PutService(ctx, orders); mesh.ReasonOf(err) != mesh.ReasonTaken {
		t.Errorf("its former keeper took it back: %v", err)
	}
	if _, err := c.Approve(ctx, "orders", "web"); err != nil {
		t.Error(err)
	}
	handed, err := c.ReleaseService(ctx, "orders", keeperOfOrders)
	if err != nil || handed.Meta.Keeper != keeperOfOrders || len(handed.Access.Approved) != 1 {
		t.Fatalf("%+v, %v", handed, err)
	}
	if _, err := kept.PutService(ctx, orders); err != nil {
		t.Error(err)
	}
	var route mesh.Route
	if err := mesh.Decode([]byte(routeBody), &route); err != nil {
		t.Fatal(err)
	}
	if _, err := kept.PutRoute(ctx, route); err != nil {
		t.Fatal(err)
	}
	if released, err := c.ReleaseRoute(ctx, "shop", ""); err != nil || released.Meta.Keeper != "" {
		t.Errorf("%+v, %v", released, err)
	}
	for body, want := range map[string]int{`{"to":""}`: 422, `{"to":"kubernetes/prod"}`: 422, `{"to":"me"}`: 422} {
		if got := w.write("POST", "/api/v1/services/orders/release", body); got.status != want {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
	if _, err := c.ReleaseService(ctx, "nobodys", ""); mesh.KindOf(err) != mesh.KindNotFound {
		t.Error(err)
	}
	if got := w.write("GET", "/api/v1/audit?object=service/orders", ""); !strings.Contains(got.body, `"action":"hand over"`) || !strings.Contains(got.body, `"field":"keeper"`) {
		t.Errorf("%s", got.body)
	}
}

// Which IDs are taken is said in a form that programs read.
func TestAKeepersErrorsAreTyped(t *testing.T) {
	w := newWorld(t)
	w.declare(ordersBody)
	c := w.client(w.admin)
	if _, err := c.Register(t.Context(), []mesh.Instance{instance("orders", "a")}, 0); err != nil {
		t.Fatal(err)
	}
	kept, err := c.KeptBy(keeperOfPods).KeepInstances(t.Context(), "orders", []mesh.Instance{{ID: "a", Address: "10.0.0.1", Port: 80}, {ID: "b", Address: "10.0.0.1", Port: 80}})
	var refused *mesh.Error
	if !errors.As(err, &refused) || refused.Reason != mesh.ReasonTaken || len(refused.Faults) != 1 || refused.Faults[0].Path != "instances/a" {
		t.Errorf("%+v, %v", kept, err)
	}
	if list, err := c.Instances(t.Context(), "orders"); err != nil || len(list) != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	if got := w.write("PUT", "/api/v1/services/nobodys/instances", `{"instances":[{"id":"a","address":"10.0.0.1","port":80}]}`, "X-Heddle-Keeper: "+string(keeperOfPods)); got.status != http.StatusNotFound {
		t.Errorf("%d %s", got.status, got.body)
	}
}
