package ui_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// changing declares a service three times, and gives the revisions.
func changing(s *site) [3]int64 {
	s.t.Helper()
	var at [3]int64
	for i, one := range []mesh.Service{
		{Name: "orders", Port: 80, Description: "first"},
		{Name: "orders", Port: 8080, Description: `<script>alert(1)</script>"'>`, Dependencies: []mesh.ServiceName{"payments"}},
		{Name: "orders", Port: 8080, Description: "third"},
	} {
		s.declare(one)
		stored, err := s.store.Service(s.t.Context(), "orders")
		if err != nil {
			s.t.Fatal(err)
		}
		at[i] = stored.Meta.Revision
	}
	return at
}

func TestTheHistoryOfAService(t *testing.T) {
	s := newSite(t)
	at := changing(s)
	const page = "/ui/services/orders/history"
	if got := s.get("", page); got.status != 303 || !strings.Contains(got.header.Get("Location"), "/ui/sign-in") {
		t.Errorf("signed out: %d", got.status)
	}
	got := s.get(s.admin, page).body
	for _, want := range []string{
		">in force<", ">create<", ">replace<", fmt.Sprintf("From %d to %d", at[1], at[2]), "&lt;script&gt;", `data-label="Fields">Dependencies, Description, Port<`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %s", want, got)
		}
	}
	if got := s.get(s.admin, fmt.Sprintf("%s?from=%d&to=%d", page, at[0], at[2])).body; !strings.Contains(got, ">80<") || !strings.Contains(got, ">8080<") || !strings.Contains(got, ">third<") {
		t.Errorf("the first and the third: %s", got)
	}
	for _, query := range []string{"?from=1&to=2", "?from=x", "?to=-1"} {
		if got := s.get(s.admin, page+query); got.status != 200 || !strings.Contains(got.body, "nothing to compare") {
			t.Errorf("%s: %d %s", query, got.status, got.body)
		}
	}
	if got := s.get("", "/ui/services/orders").body; !strings.Contains(got, `href="`+page+`"`) {
		t.Error("the page of the service does not lead to its history")
	}
	if got := s.get(s.admin, "/ui/services/nothing/history"); got.status != 404 {
		t.Errorf("of nothing: %d", got.status)
	}
	if got := s.get(s.token(registry.Token{Owners: []string{"team-other"}}), page); got.status != 403 {
		t.Errorf("another owner is shown %d", got.status)
	}
	if got := s.get(s.token(registry.Token{Owners: []string{"team-shop"}}), page).body; strings.Count(got, "/rollback?to=") != 2 {
		t.Errorf("its owner is not offered to roll back: %s", got)
	}
}

func TestRollingBackByAPage(t *testing.T) {
	s := newSite(t)
	at := changing(s)
	const page = "/ui/services/orders/rollback"
	owner, other := s.token(registry.Token{Owners: []string{"team-shop"}}), s.token(registry.Token{Owners: []string{"team-other"}})
	over, to := fmt.Sprint(at[2]), fmt.Sprint(at[0])
	if got := s.get("", page+"?to="+to); got.status != 303 || !strings.Contains(got.header.Get("Location"), "/ui/sign-in") {
		t.Errorf("signed out: %d", got.status)
	}
	if got := s.get(owner, page+"?to="+to).body; !strings.Contains(got, ">third<") || !strings.Contains(got, ">first<") {
		t.Errorf("what changes is not told: %s", got)
	}
	for _, c := range []struct {
		token, to, over string
		status          int
	}{
		{other, to, over, 403},
		{owner, to, fmt.Sprint(at[1]), 409},
		{owner, "1", over, 404},
		{owner, "x", over, 404},
		{owner, over, over, 422},
	} {
		if got := s.post(c.token, page, "to", c.to, "over", c.over); got.status != c.status {
			t.Errorf("to %s over %s: %d %s", c.to, c.over, got.status, got.body)
		}
	}
	if got := s.stored("orders"); got.Description != "third" {
		t.Fatalf("something refused was done: %+v", got)
	}
	if got := s.post(owner, page, "to", to, "over", over); got.status != 303 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if got := s.stored("orders"); got.Description != "first" || got.Port != 80 {
		t.Errorf("rolled back it is %+v", got)
	}
	// A deletion, too.
	if err := s.store.DeleteService(t.Context(), "orders", by); err != nil {
		t.Fatal(err)
	}
	s.seen()
	if got := s.get(owner, "/ui/services/orders/history").body; !strings.Contains(got, "It is deleted") || strings.Count(got, "/rollback?to=") != 4 {
		t.Errorf("deleted, its history is %s", got)
	}
	if got := s.post(owner, page, "to", to, "over", "0"); got.status != 303 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if got := s.stored("orders"); got.Description != "first" {
		t.Errorf("brought back it is %+v", got)
	}
}

func TestDeletingAServiceByAPage(t *testing.T) {
	s := newSite(t)
	s.declare(mesh.Service{Name: "orders", Dependencies: []mesh.ServiceName{"orders"}}, mesh.Service{Name: "alone"}, mesh.Service{Name: "web", Owner: "<b>team-web</b>", Dependencies: []mesh.ServiceName{"orders"}})
	route := mesh.Route{Name: "shop", Owner: "team-web", Hosts: []string{"shop.example.com"}, Backends: []mesh.WeightedBackend{{Service: "orders", Weight: 1}}}
	if _, err := s.store.PutRoute(t.Context(), route, by); err != nil {
		t.Fatal(err)
	}
	s.seen()
	owner, other := s.token(registry.Token{Owners: []string{"team-shop"}}), s.token(registry.Token{Owners: []string{"team-other"}})
	revision := func(name mesh.ServiceName) string {
		stored, err := s.store.Service(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(stored.Meta.Revision)
	}
	const page = "/ui/services/orders/delete"
	got := s.get(owner, page).body
	for _, want := range []string{"Who depends on it", "web of &lt;b&gt;team-web&lt;/b&gt;", "Route shop of team-web", "Type orders to delete it all the same"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %s", want, got)
		}
	}
	if got := s.get(owner, "/ui/services/alone/delete").body; strings.Contains(got, "depends on it") || strings.Contains(got, "confirm") {
		t.Errorf("nobody depends on it: %s", got)
	}
	at := revision("orders")
	for _, c := range []struct {
		token, says string
		fields      []string
		status      int
	}{
		{owner, "Others depend on it", []string{"~base", at}, 409}, // somebody came since the page was opened
		{owner, "This is not its name", []string{"~base", at, "~force", "order"}, 422},
		{owner, "Others depend on it", []string{"~base", at, "~force", ""}, 409},
		{owner, "changed meanwhile", []string{"~base", "1", "~force", "orders"}, 409},
		{other, "You may not do this", []string{"~base", at, "~force", "orders"}, 403},
		{owner, "", []string{"~base", at, "~force", " orders "}, 303},
		{owner, "It is not there any more", []string{"~base", at, "~force", "orders"}, 404},
	} {
		if got := s.post(c.token, page, c.fields...); got.status != c.status || !strings.Contains(got.body, c.says) {
			t.Errorf("%v: %d %s", c.fields, got.status, got.body)
		}
	}
	entries, err := s.store.Audit(t.Context(), registry.AuditQuery{Object: "service/orders", Limit: 1})
	if err != nil || entries[0].Action != "force-delete" || fmt.Sprint(entries[0].Dependents) != "[service/web route/shop]" || entries[0].Source != "ui" {
		t.Errorf("the audit has %+v, %v", entries, err)
	}
	if got := s.post(owner, "/ui/services/alone/delete", "~base", revision("alone")); got.status != 303 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestHistoryAndDeletionInABrowser(t *testing.T) {
	for _, scripts := range []bool{true, false} {
		t.Run(map[bool]string{true: "with scripts", false: "without scripts"}[scripts], func(t *testing.T) {
			s := newSite(t)
			at := changing(s)
			s.declare(mesh.Service{Name: "web", Owner: "team-web", Dependencies: []mesh.ServiceName{"orders"}})
			b := s.tab()
			b.signIn(s.token(registry.Token{Description: "Ada", Owners: []string{"team-shop"}}))
			if scripts { // which axe needs
				b.inspect("/ui/services/orders/history", "service-history")
				b.inspect(fmt.Sprintf("/ui/services/orders/rollback?to=%d", at[0]), "service-rollback")
				b.shape(1000, "light")
			}
			b.run(emulation.SetScriptExecutionDisabled(!scripts))
			b.visit("/ui/services/orders/history")
			b.run(chromedp.Click(fmt.Sprintf(`input[name="from"][value="%d"]`, at[0]), chromedp.ByQuery), chromedp.Submit(`input[name="from"]`, chromedp.ByQuery), chromedp.WaitReady(fmt.Sprintf(`input[name="from"][value="%d"][checked]`, at[0]), chromedp.ByQuery))
			if got := b.text("#differs"); got != fmt.Sprintf("From %d to %d", at[0], at[2]) {
				t.Errorf("compared: %q", got)
			}
			b.run(chromedp.Click(fmt.Sprintf(`a[href$="to=%d"]`, at[0]), chromedp.ByQuery), chromedp.WaitReady(`input[name="over"]`, chromedp.ByQuery))
			b.run(chromedp.Click(`main form .button.primary`, chromedp.ByQuery), chromedp.WaitReady(".notice", chromedp.ByQuery))
			if got := s.stored("orders"); got.Description != "first" {
				t.Errorf("rolled back it is %+v", got)
			}
			b.visit("/ui/services/orders/delete")
			b.fill("#confirm", "orders")
			b.run(chromedp.Submit("#confirm", chromedp.ByQuery), chromedp.WaitReady(".notice", chromedp.ByQuery))
			if _, err := s.store.Service(t.Context(), "orders"); mesh.KindOf(err) != mesh.KindNotFound {
				t.Errorf("it is still there: %v", err)
			}
		})
	}
}
