package ui_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

func (s *site) route(name mesh.RouteName) mesh.Route {
	s.t.Helper()
	got, err := s.store.Route(s.t.Context(), name)
	if err != nil {
		s.t.Fatal(err)
	}
	got.Meta = mesh.Meta{}
	return got
}

func TestARouteIsRegisteredEditedAndDeleted(t *testing.T) {
	s := newSite(t)
	s.declare(mesh.Service{Name: "web", Owner: "team-web"}, mesh.Service{Name: "orders", Owner: "team-shop"})
	b := s.tab()
	b.signIn(s.token(registry.Token{Owners: []string{"team-web"}}))
	b.visit("/ui/routes")
	b.run(chromedp.Click(`a[href="/ui/declare/route"]`, chromedp.ByQuery), chromedp.WaitReady("form.object"))
	b.press("review", "#faults")
	b.axe()
	b.fill("#f-name", "shop", "#f-hosts", "shop.example.com")
	b.press("add-row:backends", "#f-backends-0--service")
	b.fill("#f-backends-0--service", "orders", "#f-backends-0--weight", "1")
	b.press("review", `button[value="save"]`)
	b.run(chromedp.Click(`button[value="save"]`, chromedp.ByQuery), chromedp.WaitReady(".banner"))
	if got := b.text(".banner"); !strings.Contains(got, `belongs to "team-shop"`) || !strings.Contains(got, "what you typed is still here") {
		t.Errorf("exposing another owner's service: %q", got)
	}
	b.fill("#f-backends-0--service", "web")
	b.press("review", `button[value="save"]`)
	b.run(chromedp.Click(`button[value="save"]`, chromedp.ByQuery), chromedp.WaitReady(".notice"))
	want := mesh.Route{Name: "shop", Owner: "team-web", Hosts: []string{"shop.example.com"}, Backends: []mesh.WeightedBackend{{Service: "web", Weight: 1}}}
	if diff := cmp.Diff(want, s.route("shop")); diff != "" {
		t.Error(diff)
	}
	b.inspect("/ui/routes", "routes")
	b.inspect("/ui/routes/shop/edit", "route-edit")
	b.shape(1000, "light")
	b.visit("/ui/routes/shop/delete")
	b.axe()
	if got := s.post(s.admin, "/ui/routes/shop/delete", "~base", "1"); got.status != http.StatusConflict {
		t.Errorf("deleting what one has not seen: %d", got.status)
	}
	b.run(chromedp.Click("main .danger", chromedp.ByQuery), chromedp.WaitReady(".notice"))
	if got := b.text("main"); !strings.Contains(got, "No routes yet") {
		t.Errorf("after the deletion: %s", got)
	}
}

func TestADeletionAsksWhoIsThere(t *testing.T) {
	s := newSite(t)
	s.declare(mesh.Service{Name: "web", Owner: "team-web"})
	if _, err := s.store.PutRoute(t.Context(), mesh.Route{Name: "shop", Owner: "team-web", Hosts: []string{"a.example"}, Backends: []mesh.WeightedBackend{{Service: "web", Weight: 1}}}, by); err != nil {
		t.Fatal(err)
	}
	other := s.token(registry.Token{Owners: []string{"team-shop"}})
	page := s.get(s.admin, "/ui/routes/shop/delete")
	_, base, _ := strings.Cut(page.body, `name="~base" value="`)
	base, _, _ = strings.Cut(base, `"`)
	if again := s.post("", "/ui/routes/shop/delete", "~base", base, "~token", s.admin); again.status != http.StatusOK || !strings.Contains(again.body, "Delete route shop?") || s.route("shop").Owner == "" {
		t.Errorf("signing in again deletes at once: %d", again.status)
	}
	for _, one := range []struct {
		token string
		want  int
	}{{"", http.StatusUnauthorized}, {other, http.StatusForbidden}, {s.admin, http.StatusSeeOther}, {s.admin, http.StatusNotFound}} {
		if got := s.post(one.token, "/ui/routes/shop/delete", "~base", base); got.status != one.want {
			t.Errorf("%d, want %d: %s", got.status, one.want, got.body)
		}
	}
}
