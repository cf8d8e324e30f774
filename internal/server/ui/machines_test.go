package ui_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// found has the site's registry hold machines, as the server that refreshes their source does.
func (s *site) found(sources []mesh.DiscoverySource, machines ...mesh.VM) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	terms, done := make(chan registry.Term, 1), make(chan struct{})
	go func() {
		defer close(done)
		s.store.Lead(ctx, registry.DiscoveryOffice, "one", func(ctx context.Context, term registry.Term) {
			terms <- term
			<-ctx.Done()
		})
	}()
	s.t.Cleanup(func() { cancel(); <-done })
	term := <-terms
	roster := mesh.DiscoveryRoster{Server: "one"}
	for _, one := range sources {
		if one.Kind != "gone" {
			roster.Sources = append(roster.Sources, one.Name)
		}
		if err := s.store.WriteDiscovery(s.t.Context(), term, one); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := s.store.WriteRoster(s.t.Context(), term, roster); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.store.WriteVMs(s.t.Context(), term, machines, nil); err != nil {
		s.t.Fatal(err)
	}
	s.seen()
}

func machine(id string, change func(*mesh.VM)) mesh.VM {
	vm := mesh.VM{Source: "az", ID: "rg/" + id, Name: id, PrivateIP: "10.1.0.1", State: mesh.VMRunning, Health: mesh.VMHealthy, Region: "westeurope", Zone: "1", Runs: []mesh.VMService{{Name: "orders", Port: 8080}}}
	if change != nil {
		change(&vm)
	}
	return vm
}

var onVMs = mesh.Service{Name: "orders", Endpoints: mesh.Endpoints{VMs: &mesh.VMEndpoints{Sources: []string{"az"}}}} //nolint:gochecknoglobals // never changed

// park is a service with two machines that it has, and others that it does not.
func park(s *site) {
	s.declare(onVMs)
	s.found([]mesh.DiscoverySource{
		{Name: "az", Kind: "azure", Server: "one", LastRun: time.Now(), Calls: 4, Throttled: 1, DurationMS: 120, VMs: 4, Scopes: []mesh.DiscoveryScope{{Name: "subscriptions/2", Error: "403 Forbidden"}}},
		{Name: "old", Kind: "gone", VMs: 0},
	},
		machine("orders-1", func(v *mesh.VM) { v.PublicIP = "20.0.0.1" }), machine("orders-2", func(v *mesh.VM) { v.PrivateIP, v.Health = "10.1.0.2", mesh.VMUnhealthy }),
		machine("orders-3", func(v *mesh.VM) { v.State = mesh.VMDeallocated }), machine("spare", func(v *mesh.VM) { v.Runs, v.Faults = nil, []string{"it has no NIC"} }))
}

func TestMachinesArePaged(t *testing.T) {
	s := newSite(t)
	if body := s.get("", "/ui/machines").body; !strings.Contains(body, "No sources of machines") || !strings.Contains(body, "heddle server --discovery") {
		t.Errorf("without sources nothing says what to do: %s", body)
	}
	park(s)
	names := func(query string) string {
		got := s.get("", "/ui/machines"+query)
		var out []string
		for _, part := range strings.Split(got.body, `class="cell-title"><span title="`)[1:] {
			_, name, _ := strings.Cut(part, ">")
			name, _, _ = strings.Cut(name, "<")
			out = append(out, name)
		}
		if got.status != 200 {
			t.Errorf("%s: %d", query, got.status)
		}
		return strings.Join(out, " ")
	}
	id := mesh.VMInstance(mesh.VMKey{Source: "az", ID: "rg/orders-2"}, "orders-2")
	for query, want := range map[string]string{
		"": "orders-1 orders-2 orders-3 spare", "?q=ORDERS-2": "orders-2", "?q=20.0": "orders-1", "?placed=no": "orders-3 spare", "?placed=yes": "orders-1 orders-2",
		"?state=deallocated": "orders-3", "?source=old": "", "?source=az&q=" + string(id): "orders-2", "?page=-1": "orders-1 orders-2 orders-3 spare", "?q=none+such": "", "?state=nonsense": "",
	} {
		if got := names(query); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	body := s.get("", "/ui/machines").body
	for _, want := range []string{"not an instance of orders: it is deallocated", "it has no NIC", "subscriptions/2: 403 Forbidden", "not refreshed", `href="/ui/services/orders" title="instance ` + string(id)} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

// TestTenThousandMachinesAreShown in pages, at once.
func TestTenThousandMachinesAreShown(t *testing.T) {
	s := newSite(t)
	s.declare(onVMs)
	var many []mesh.VM
	for i := range 10_000 {
		many = append(many, machine(fmt.Sprintf("vm-%05d", i), func(v *mesh.VM) { v.PrivateIP = fmt.Sprintf("10.%d.%d.1", i/250, i%250) }))
	}
	s.found([]mesh.DiscoverySource{{Name: "az", Kind: "azure", VMs: len(many)}}, many...)
	began := time.Now()
	got := s.get("", "/ui/machines?page=100")
	took := time.Since(began)
	if !strings.Contains(got.body, "10000 machines, page 100 of 100") || !strings.Contains(got.body, "vm-09999") || len(got.body) > 1<<20 {
		t.Errorf("%d bytes: %.300s", len(got.body), got.body)
	}
	if took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	t.Logf("the first page of a view took %s", took)
}

func TestMachinesInABrowser(t *testing.T) {
	s := newSite(t)
	s.found(nil)
	b := s.tab()
	b.inspect("/ui/machines", "machines-none")
	s2 := newSite(t)
	park(s2)
	if _, err := s2.store.KeepInstances(t.Context(), "orders", []mesh.Instance{{ID: mesh.VMInstance(mesh.VMKey{Source: "az", ID: "rg/orders-1"}, "orders-1"), Service: "orders", Address: "10.1.0.1", Port: 8080}}, registry.Write{Keeper: mesh.OfVMs("az")}); err != nil {
		t.Fatal(err)
	}
	s2.seen()
	b = s2.tab()
	b.inspect("/ui/machines", "machines")
	b.visit("/ui/services/orders")
	var to string
	b.evaluate(`document.querySelector('a[href^="/ui/machines"][href*="q="]').getAttribute("href")`, &to)
	b.visit(to)
	if got := b.text(".found"); got != "1 of 4 machines" {
		t.Errorf("the instance's machine: %q at %s", got, to)
	}
}

// TestHostileMachinesAreText: names and tags are written by whoever makes machines.
func TestHostileMachinesAreText(t *testing.T) {
	s := newSite(t)
	s.declare(onVMs)
	s.found([]mesh.DiscoverySource{{Name: "az", Kind: hostile, Server: hostile, Error: hostile, Scopes: []mesh.DiscoveryScope{{Name: hostile, Error: hostile}}}},
		machine("a", func(v *mesh.VM) {
			v.Name, v.ScaleSet, v.Region, v.Zone, v.Faults = hostile, hostile, hostile, hostile, []string{hostile}
		}))
	b := s.tab()
	for _, path := range []string{"/ui/machines", "/ui/machines?q=%22%3E%3Cscript%3Ealert(5)%3C/script%3E", "/ui/machines?source=%22%3E%3Cscript%3E"} {
		b.visit(path) // a dialog or a violation of the policy fails the test at its end
		if body := s.get("", path).body; strings.Contains(body, "<script>alert") || strings.Contains(body, "<img src=x") {
			t.Errorf("%s: something became more than text", path)
		}
	}
	if body := s.get("", "/ui/machines").body; !strings.Contains(body, "&lt;script&gt;alert(1)") {
		t.Error("the name is not shown as text")
	}
}
