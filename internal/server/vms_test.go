package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
	"github.com/heddle-mesh/heddle/internal/server"
)

// leads holds the office of discovery with these sources until the test ends or end is called.
func (w *world) leads(name string, sources ...string) (term registry.Term, end func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	terms, done := make(chan registry.Term, 1), make(chan struct{})
	go func() {
		defer close(done)
		w.store.Lead(ctx, registry.DiscoveryOffice, name, func(ctx context.Context, term registry.Term) {
			terms <- term
			<-ctx.Done()
		})
	}()
	end = func() { cancel(); <-done }
	w.t.Cleanup(end)
	term = <-terms
	if err := w.store.WriteRoster(w.t.Context(), term, mesh.DiscoveryRoster{Server: name, Sources: sources}); err != nil {
		w.t.Fatal(err)
	}
	w.seen()
	return term, end
}

func machine(source, id, address string, tags ...string) mesh.VM {
	vm := mesh.VM{Source: source, ID: id, Name: id, PrivateIP: address, State: mesh.VMRunning, Health: mesh.VMHealthUnknown, Region: "westeurope", Zone: "1"}
	for _, one := range tags {
		vm.Runs = append(vm.Runs, mesh.VMService{Name: mesh.ServiceName(one), Port: 8080})
	}
	return vm
}

// found writes machines as their source's refresher does.
func (w *world) found(term registry.Term, put []mesh.VM, gone ...mesh.VMKey) int64 {
	w.t.Helper()
	at, err := w.store.WriteVMs(w.t.Context(), term, put, gone)
	if err != nil {
		w.t.Fatal(err)
	}
	w.seen()
	return at
}

func (w *world) noted(term registry.Term, status mesh.DiscoverySource) {
	w.t.Helper()
	if err := w.store.WriteDiscovery(w.t.Context(), term, status); err != nil {
		w.t.Fatal(err)
	}
	w.seen()
}

func (w *world) vms(query string, headers ...string) (reply, mesh.VMList) {
	w.t.Helper()
	got, list := w.call("GET", "/api/vms"+query, "", headers...), mesh.VMList{}
	if got.status == 200 {
		if err := json.Unmarshal([]byte(got.body), &list); err != nil {
			w.t.Fatal(err)
		}
	}
	return got, list
}

const ordersOnVMs = `{"name":"orders","owner":"team-a","protocol":"http","port":80,"dependencies":[],"endpoints":{"vms":{"sources":["az","dc"]}}}`

func TestMachinesAreListed(t *testing.T) {
	w := newWorld(t)
	if got, list := w.vms(""); got.status != 200 || got.body != `{"last_update":null,"total_vms":0,"snapshot_version":0,"vms":[]}`+"\n" {
		t.Fatalf("%d %q, %+v", got.status, got.body, list)
	}
	w.declare(ordersOnVMs)
	term, _ := w.leads("one", "az", "dc")
	stopped := machine("az", "rg/c", "10.0.0.3", "orders")
	stopped.State = mesh.VMDeallocated
	at := w.found(term, []mesh.VM{machine("az", "rg/a", "10.0.0.1", "orders"), machine("dc", "b", "10.0.0.2"), stopped})
	early, late := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC), time.Date(2026, 11, 22, 9, 5, 0, 0, time.UTC)
	w.noted(term, mesh.DiscoverySource{Name: "az", LastSuccess: late})
	w.noted(term, mesh.DiscoverySource{Name: "dc"})
	if got, list := w.vms(""); list.LastUpdate != nil {
		t.Errorf("one source was never listed as a whole: %s", got.body)
	}
	w.noted(term, mesh.DiscoverySource{Name: "dc", LastSuccess: early})
	got, list := w.vms("")
	if list.TotalVMs != 3 || list.SnapshotVersion != at || list.LastUpdate == nil || !list.LastUpdate.Equal(early) {
		t.Fatalf("%s", got.body)
	}
	if !strings.HasPrefix(got.body, `{"last_update":"2026-11-22T09:00:00Z","total_vms":3,"snapshot_version":`) || !strings.Contains(got.body, `"public_ip":"","private_ip":"10.0.0.1"`) {
		t.Errorf("the fields are not those that were asked for: %s", got.body)
	}
	a, c, b := list.VMs[0], list.VMs[1], list.VMs[2]
	id := mesh.VMInstance(a.Key(), a.Name)
	if a.Service != "orders" || !slices.Equal(a.Services, []mesh.VMPlace{{Service: "orders", Instance: id, Port: 8080}}) || a.Zone != "1" || a.Meta.Author != "" {
		t.Errorf("%+v", a)
	}
	if b.Service != "" || len(b.Services) != 0 || !slices.Equal(b.NotPlaced, []string{"its tags name no service, and no service asks for its tags"}) {
		t.Errorf("%+v", b)
	}
	if c.State != mesh.VMDeallocated || !slices.Equal(c.NotPlaced, []string{"not an instance of orders: it is deallocated"}) {
		t.Errorf("%+v", c)
	}
	for query, want := range map[string]string{
		"?source=dc": "b", "?source=az&state=running": "rg/a", "?service=orders": "rg/a rg/c", "?service=nobody": "", "?state=stopped": "", "?source=%3Cscript%3E": "",
	} {
		got, list := w.vms(query)
		var ids []string
		for _, one := range list.VMs {
			ids = append(ids, one.ID)
		}
		if got.status != 200 || strings.Join(ids, " ") != want || list.TotalVMs != len(ids) {
			t.Errorf("%s: %s", query, got.body)
		}
	}
	for _, query := range []string{"?state=on", "?watch=true", "?sourc=az"} {
		if got, _ := w.vms(query); got.status != 422 {
			t.Errorf("%s: %d %s", query, got.status, got.body)
		}
	}
}

// TestPollersOfMachinesGetNothingUnlessSomethingChanged: neither a refresh nor a write of
// something else is a change; a placement is.
func TestPollersOfMachinesGetNothingUnlessSomethingChanged(t *testing.T) {
	w := newWorld(t)
	term, _ := w.leads("one", "az")
	w.found(term, []mesh.VM{machine("az", "rg/a", "10.0.0.1", "orders")})
	first, _ := w.vms("")
	tag := first.header.Get("ETag")
	if !strings.HasPrefix(tag, `W/"`) {
		t.Fatalf("ETag %q", tag)
	}
	w.noted(term, mesh.DiscoverySource{Name: "az", LastSuccess: time.Now()})
	w.declare(ordersBody)
	w.seen()
	second, _ := w.vms("", "If-None-Match: "+tag)
	if second.status != 200 || !strings.Contains(second.body, "its declaration does not have source az") {
		t.Errorf("the reason why it is not placed is another one now: %d %s", second.status, second.body)
	}
	tag = second.header.Get("ETag")
	w.write("PUT", "/api/v1/runtime", `{"values":{}}`)
	w.noted(term, mesh.DiscoverySource{Name: "az", LastSuccess: time.Now().Add(time.Second)})
	for _, header := range []string{tag, "*", `"other", ` + tag, strings.TrimPrefix(tag, "W/")} {
		if got, _ := w.vms("", "If-None-Match: "+header); got.status != 304 || got.body != "" || got.header.Get("ETag") != tag {
			t.Errorf("%s: %d %q", header, got.status, got.body)
		}
	}
	before := second.body
	if got := w.write("PUT", "/api/v1/services/orders", ordersOnVMs); got.status != 200 {
		t.Fatal(got.body)
	}
	w.seen()
	if got, list := w.vms("", "If-None-Match: "+tag); got.status != 200 || list.VMs[0].Service != "orders" || got.body == before {
		t.Errorf("a placement is no change: %d %s", got.status, got.body)
	}
}

// TestASnapshotsVersionIsTheSameOnEveryServer also on one that has begun after the
// machine that changed last was deleted, and knows nothing of it.
func TestASnapshotsVersionIsTheSameOnEveryServer(t *testing.T) {
	w := newWorld(t)
	term, _ := w.leads("one", "az")
	w.found(term, []mesh.VM{machine("az", "a", "10.0.0.1"), machine("az", "b", "10.0.0.2")})
	at := w.found(term, nil, mesh.VMKey{Source: "az", ID: "b"})
	_, here := w.vms("")
	young := catalog.New(catalog.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.store.Watch(ctx, registry.WatchConfig{}, func(b registry.Batch) { young.Apply(b.Revision, b.Synced, b.Changes) })
	}()
	defer func() { cancel(); <-done }()
	w.eventually("the other server knows the mesh", func() bool { return young.View().Synced() })
	other, err := server.New(server.Config{Registry: w.store, Catalog: young})
	if err != nil {
		t.Fatal(err)
	}
	var there mesh.VMList
	if err := json.Unmarshal([]byte(get(t, other, "/api/vms").body), &there); err != nil {
		t.Fatal(err)
	}
	if here.SnapshotVersion != at || there.SnapshotVersion != at || there.TotalVMs != 1 {
		t.Errorf("one server says %d, the other %d, and the deletion was %d", here.SnapshotVersion, there.SnapshotVersion, at)
	}
	w.stopEtcd()
	if got, list := w.vms(""); got.status != 200 || list.TotalVMs != 1 {
		t.Errorf("with etcd away: %d %s", got.status, got.body)
	}
}

func TestHowSourcesDo(t *testing.T) {
	w := newWorld(t)
	if got := w.call("GET", "/api/discovery", ""); got.status != 200 || got.body != `{"server":"","sources":[],"concerns":[]}`+"\n" {
		t.Fatalf("%d %q", got.status, got.body)
	}
	w.declare(strings.Replace(ordersOnVMs, `"dc"`, `"nowhere"`, 1))
	term, end := w.leads("one", "az", "slow")
	var many []mesh.VM
	for i := range 1003 {
		many = append(many, machine("az", fmt.Sprintf("vm-%04d", i), "10.0.0.1"))
	}
	many[7].Runs, many[8].Faults = []mesh.VMService{{Name: "orders", Port: 80}}, []string{"its tag heddle-weight is <b>"}
	w.found(term, many)
	w.noted(term, mesh.DiscoverySource{Name: "az", Kind: "azure", Calls: 7, Throttled: 2, DurationMS: 12.5, VMs: 1003, Scopes: []mesh.DiscoveryScope{{Name: "subscriptions/1", Error: "403"}}})
	w.noted(term, mesh.DiscoverySource{Name: "old", VMs: 3})
	var found mesh.Discovery
	got := w.call("GET", "/api/discovery", "")
	if err := json.Unmarshal([]byte(got.body), &found); err != nil || found.Server != "one" || len(found.Sources) != 2 {
		t.Fatalf("%v %s", err, got.body)
	}
	az, old := found.Sources[0], found.Sources[1]
	if !az.Refreshed || az.Failing != "subscriptions/1: 403" || az.Calls != 7 || az.SkippedTotal != 1002 || len(az.Skipped) != 1000 || az.Skipped[7].Name != "vm-0008" || len(az.Skipped[7].Reasons) != 2 {
		t.Errorf("%+v", az.DiscoverySource)
	}
	if old.Refreshed || old.Failing != "" {
		t.Errorf("%+v", old)
	}
	problems := func() string { return w.call("GET", "/api/v1/problems", "").body }
	for _, want := range []string{
		`"source/az","message":"it could not be listed as a whole, and what was known of it stays: subscriptions/1: 403"`,
		`"source/old","message":"server one, which refreshes the sources, does not have it in its settings: what was known of it, 3 machines, stays. `,
		`source \"nowhere\" (endpoints.vms.sources), which no server has`,
	} {
		if !strings.Contains(problems(), want) {
			t.Errorf("%s is not among %s", want, problems())
		}
	}
	end()
	w.eventually("nobody refreshes them", func() bool { return strings.Contains(problems(), `"source/az","message":"no server refreshes it now`) })
	if got := w.call("GET", "/api/discovery", ""); !strings.Contains(got.body, `{"server":"",`) {
		t.Errorf("%.200s", got.body)
	}
}

func TestASourceIsForgotten(t *testing.T) {
	w := newWorld(t)
	w.declare(ordersOnVMs)
	term, _ := w.leads("one", "dc")
	w.found(term, []mesh.VM{machine("az", "a", "10.0.0.1", "orders"), machine("dc", "b", "10.0.0.2", "orders")})
	w.noted(term, mesh.DiscoverySource{Name: "az"})
	w.noted(term, mesh.DiscoverySource{Name: "dc"})
	for source, instance := range map[string]string{"az": "a", "dc": "b"} {
		one := mesh.Instance{ID: mesh.InstanceID(instance), Service: "orders", Address: "10.0.0.1", Port: 80}
		if _, err := w.store.KeepInstances(t.Context(), "orders", []mesh.Instance{one}, registry.Write{Keeper: mesh.OfVMs(source)}); err != nil {
			t.Fatal(err)
		}
	}
	_, before := w.vms("")
	p := w.write("DELETE", "/api/v1/discovery/dc", "").problem(t)
	if p.Status != 409 || !strings.Contains(p.Detail, "server one refreshes it") || !strings.Contains(p.Detail, "A server that was killed is taken to refresh it for 10s more") {
		t.Errorf("%+v", p)
	}
	if _, err := w.store.WakeSource(t.Context(), "az"); err != nil || w.value("/heddle/v1/wakes/az") == "" {
		t.Fatalf("%v", err)
	}
	if got := w.write("DELETE", "/api/v1/discovery/az", ""); got.status != 204 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if left := w.value("/heddle/v1/wakes/az"); left != "" {
		t.Errorf("that it was woken is left in the registry: %s", left)
	}
	w.seen()
	if _, list := w.vms(""); list.TotalVMs != 1 || list.VMs[0].Source != "dc" || list.SnapshotVersion <= before.SnapshotVersion {
		t.Errorf("%+v", list)
	}
	if got := w.call("GET", "/api/v1/services/orders/instances", ""); strings.Contains(got.body, "vms/az") || !strings.Contains(got.body, "vms/dc") {
		t.Errorf("%s", got.body)
	}
	if got := w.call("GET", "/api/discovery", ""); strings.Contains(got.body, `"az"`) {
		t.Errorf("%s", got.body)
	}
	if got := w.write("GET", "/api/v1/audit?object=source/az", ""); !strings.Contains(got.body, `"action":"delete"`) {
		t.Errorf("%s", got.body)
	}
	for path, want := range map[string]int{"az": 404, "never": 404, "A": 422, "a%2Fb": 422} {
		if got := w.write("DELETE", "/api/v1/discovery/"+path, ""); got.status != want {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

// TestAScopeIsForgotten: of a source that is refreshed, what was deleted in the cloud; and
// nothing that is listed.
func TestAScopeIsForgotten(t *testing.T) {
	w := newWorld(t)
	forget := func(scope string) reply { return w.write("DELETE", "/api/v1/discovery/az?scope="+scope, "") }
	if got := forget("gone"); got.status != 404 {
		t.Errorf("%d %s", got.status, got.body)
	}
	term, end := w.leads("one", "az")
	if got := forget("gone"); got.status != 409 || !strings.Contains(got.body, "has not said yet how it does") {
		t.Errorf("%d %s", got.status, got.body)
	}
	var list []mesh.VM
	for scope, n := range map[string]int{"gone": 150, "well": 1, "doubtful": 3, "throttled": 2, "stale": 1, "doubtful-long": 4} {
		for i := range n {
			one := machine("az", fmt.Sprintf("%s-%d", scope, i), "10.0.0.1")
			one.Scope = scope
			list = append(list, one)
		}
	}
	at := w.found(term, list)
	long := time.Now().Add(-3 * time.Hour)
	w.noted(term, mesh.DiscoverySource{Name: "az", LastRun: time.Now(), VMs: 161, StaleAfter: 3600, Scopes: []mesh.DiscoveryScope{
		{Name: "gone", VMs: 150, Error: "404 SubscriptionNotFound", LastSuccess: long}, {Name: "well", VMs: 1, LastSuccess: time.Now()},
		{Name: "doubtful", VMs: 3, Held: 1, HeldSince: time.Now(), Error: "429", LastSuccess: time.Now()}, {Name: "doubtful-long", VMs: 4, Held: 1, HeldSince: long, Error: "403", LastSuccess: time.Now()},
		{Name: "throttled", VMs: 2, Error: "429", LastSuccess: time.Now(), NotBefore: time.Now().Add(time.Hour)}, {Name: "stale", VMs: 1, Error: "429", LastSuccess: long, NotBefore: time.Now().Add(time.Hour)},
	}})
	if got := w.call("GET", "/api/discovery", ""); !strings.Contains(got.body, `"stale":["gone","doubtful-long","stale"]`) {
		t.Errorf("%s", got.body)
	}
	problem := `"source/az","message":"gone: 150 machines have not been confirmed for 3h0m`
	if got := w.call("GET", "/api/v1/problems", ""); !strings.Contains(got.body, problem) || strings.Contains(got.body, "well: ") || !strings.Contains(got.body, "doubtful-long: 1 of 4 machines have not been confirmed for 3h0m") || strings.Contains(got.body, "--scope doubtful") {
		t.Errorf("%s", got.body)
	}
	for scope, want := range map[string]string{
		"well":                  "409 server one lists it, and would find its machines again",
		"doubtful":              "409 it is listed but for 1 of its 3 machines",
		"throttled":             "409 it wants to be left alone until ",
		"throttled&force=false": "409 With force (heddle discovery forget --force) all its machines end now",
		"doubtful-long":         "409 it is listed but for 1 of its 4 machines",
		"never":                 "404 no machine of it is known; the source's other scopes: doubtful, doubtful-long, gone, stale, throttled, well",
		"&force=true":           "422 is for a scope",
		"a%00b":                 "422 ",
	} {
		status, says, _ := strings.Cut(want, " ")
		if got := forget(scope); fmt.Sprint(got.status) != status || !strings.Contains(got.body, says) {
			t.Errorf("%s: %d %s", scope, got.status, got.body)
		}
	}
	for _, scope := range []string{"gone", "stale", "throttled&force=true", "doubtful&force=true"} {
		if got := forget(scope); got.status != 204 {
			t.Fatalf("%s: %d %s", scope, got.status, got.body)
		}
	}
	w.seen()
	if _, list := w.vms(""); list.TotalVMs != 5 || list.SnapshotVersion <= at {
		t.Errorf("%d machines as of %d", list.TotalVMs, list.SnapshotVersion)
	}
	if got := w.write("GET", "/api/v1/audit?object=source/az/gone", ""); !strings.Contains(got.body, `"action":"delete"`) {
		t.Errorf("%s", got.body)
	}
	if w.value("/heddle/v1/wakes/az") == "" {
		t.Error("the source is not refreshed for it")
	}
	if got := forget("gone"); got.status != 404 {
		t.Errorf("%d %s", got.status, got.body)
	}
	end()
	w.seen()
	if got := forget("well"); got.status != 204 {
		t.Errorf("no server refreshes it: %d %s", got.status, got.body)
	}
}

// TestASourceIsRefreshed when an admin asks for it, but not all the time.
func TestASourceIsRefreshed(t *testing.T) {
	w := newWorld(t)
	refresh := func(source string) reply { return w.write("POST", "/api/v1/discovery/"+source+"/refresh", "") }
	if got := refresh("az"); got.status != 404 || !strings.Contains(got.body, "no server has sources") {
		t.Errorf("%d %s", got.status, got.body)
	}
	term, _ := w.leads("one", "az", "busy", "half")
	soon := time.Now().Add(90 * time.Second)
	w.noted(term, mesh.DiscoverySource{Name: "old"})
	w.noted(term, mesh.DiscoverySource{Name: "busy", Scopes: []mesh.DiscoveryScope{{Name: "a", NotBefore: soon}, {Name: "b", NotBefore: soon.Add(time.Hour)}}})
	w.noted(term, mesh.DiscoverySource{Name: "half", Scopes: []mesh.DiscoveryScope{{Name: "a", NotBefore: soon}, {Name: "b"}}})
	for source, want := range map[string]string{
		"azure": "404 there is no such source; there are: az, busy, half, old",
		"old":   "409 no server refreshes it now",
		"busy":  "429 it wants to be left alone until " + soon.UTC().Format(time.RFC3339),
		"A":     "422 ",
		"half":  `202 {"source":"half","asked":`,
	} {
		status, says, _ := strings.Cut(want, " ")
		if got := refresh(source); fmt.Sprint(got.status) != status || !strings.Contains(got.body, says) {
			t.Errorf("%s: %d %s", source, got.status, got.body)
		}
	}
	if after := refresh("busy").header.Get("Retry-After"); after != "90" && after != "89" {
		t.Errorf("Retry-After %q", after)
	}
	var asked mesh.DiscoveryAsked
	got := refresh("az")
	if err := json.Unmarshal([]byte(got.body), &asked); err != nil || got.status != 202 || asked.Asked == 0 || w.value("/heddle/v1/wakes/az") == "" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if got := refresh("az"); got.status != 429 || !strings.Contains(got.body, "ask again in 10s") || got.header.Get("Retry-After") != "10" {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestHowTheMeshFares(t *testing.T) {
	w := newWorld(t, func(c *server.Config) {
		c.Proxies = func() []server.Proxy {
			return []server.Proxy{{Node: "a"}, {Node: "b", Types: []server.ProxyType{{Rejections: 3, BehindSince: time.Now(), Rejected: &server.Rejection{}}}}}
		}
	})
	health := func() (h mesh.MeshHealth) {
		w.seen()
		got := w.call("GET", "/api/health", "")
		if err := json.Unmarshal([]byte(got.body), &h); err != nil || got.status != 200 {
			t.Fatalf("%d %s", got.status, got.body)
		}
		return h
	}
	if h := health(); h.Status != mesh.HealthGood || len(h.Services) != 0 {
		t.Errorf("an empty mesh: %+v", h)
	}
	w.declare(ordersBody)
	if h := health(); h.Status != mesh.HealthGood || h.Counts.Empty != 1 || h.Services[0].Expected {
		t.Errorf("a service that nobody calls: %+v", h)
	}
	w.declare(`{"name":"web","owner":"team-b","protocol":"http","port":80,"dependencies":["orders"]}`)
	w.declare(`{"name":"outside","owner":"team-b","protocol":"http","port":80,"dependencies":[],"endpoints":{"dns":{"host":"x.example.com"}}}`)
	if h := health(); h.Status != mesh.HealthDown || !h.Services[0].Expected || h.Services[0].Status != mesh.HealthEmpty {
		t.Errorf("all that is called has no instance: %+v", h)
	}
	for id, state := range map[string]string{"o-1": "healthy", "o-2": "draining", "o-3": "unhealthy"} {
		if got := w.write("POST", "/api/v1/instances", `{"service":"orders","id":"`+id+`","address":"10.0.0.7","port":80,"health":"`+state+`"}`); got.status != 201 {
			t.Fatal(got.body)
		}
	}
	h := health()
	if h.Status != mesh.HealthDegraded || h.Counts != (mesh.HealthCounts{Degraded: 1, Empty: 1, Outside: 1}) {
		t.Errorf("%+v", h)
	}
	if h.Services[0].Name != "web" || h.Services[1] != (mesh.ServiceHealth{Name: "orders", Owner: "team-a", Status: mesh.HealthDegraded, Expected: true, Instances: 3, Healthy: 1, Draining: 1, Unhealthy: 1}) {
		t.Errorf("%+v", h.Services)
	}
	var state mesh.MeshState
	got := w.call("GET", "/api/state", "")
	if err := json.Unmarshal([]byte(got.body), &state); err != nil {
		t.Fatal(got.body)
	}
	if state.Version != "test" || state.Server == "" || state.Revision == 0 || state.Proxies != (mesh.ProxyCounts{Connected: 2, Behind: 1, Refusing: 1, Rejections: 3}) ||
		state.Counts.Services != 3 || state.Counts.Instances != 3 || state.Counts.InstancesBy["registered"] != 3 {
		t.Errorf("%s", got.body)
	}
}

// TestReadingTheStateOfTheMeshNeedsAToken as all other reading does where it is told so.
func TestReadingTheStateOfTheMeshNeedsAToken(t *testing.T) {
	w := newWorld(t, func(c *server.Config) { c.RequireReadToken = true })
	for _, path := range []string{"/api/vms", "/api/discovery", "/api/health", "/api/state"} {
		if got := w.call("GET", path, ""); got.status != 401 {
			t.Errorf("%s: %d", path, got.status)
		}
		if got := w.write("GET", path, ""); got.status != 200 {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}
