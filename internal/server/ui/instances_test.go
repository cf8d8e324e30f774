package ui_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

func TestAnInstanceIsRegisteredAndRemovedByHand(t *testing.T) {
	s := newSite(t)
	s.declare(mesh.Service{Name: "orders", Owner: "team-shop"})
	b := s.tab()
	b.signIn(s.token(registry.Token{Owners: []string{"team-shop"}}))
	b.inspect("/ui/declare/instance?service=orders", "instance-new")
	b.shape(1000, "light")
	b.fill("#f-id", "orders-1", "#f-address", "10.0.0", "#f-port", "8080", "#f-ttl", "48h")
	b.press("review", "#faults")
	if got := b.text("#faults"); !strings.Contains(got, "10.0.0") || !strings.Contains(got, "24h") {
		t.Errorf("faults: %q", got)
	}
	b.fill("#f-address", "10.0.0.7", "#f-ttl", "2h")
	b.press("review", `button[value="save"]`)
	if got := b.text(".notes"); !strings.Contains(got, "2h") {
		t.Errorf("the review says %q", got)
	}
	b.run(chromedp.Click(`button[value="save"]`, chromedp.ByQuery), chromedp.WaitReady(".notice"))
	all, _, err := s.store.Instances(t.Context(), "orders")
	if err != nil || len(all) != 1 || all[0].Address != "10.0.0.7" {
		t.Fatal(all, err)
	}
	again := s.post(s.admin, "/ui/declare/instance", "~do", "save", "service", "orders", "id", "orders-1", "address", "10.0.0.8", "port", "1")
	if again.status != http.StatusUnprocessableEntity || !strings.Contains(again.body, "registered already") {
		t.Errorf("the same once more: %d", again.status)
	}
	const remove = "/ui/services/orders/instances/orders-1/remove"
	b.visit("/ui/services/orders")
	b.run(chromedp.WaitReady(`a[href="`+editOrders+`"]`, chromedp.ByQuery), chromedp.WaitReady(`a[href="`+remove+`"]`, chromedp.ByQuery))
	b.picture("service-mine")
	if got := s.post(s.token(registry.Token{Owners: []string{"team-web"}}), remove); got.status != http.StatusForbidden {
		t.Errorf("another owner removes it: %d", got.status)
	}
	b.visit(remove)
	b.axe()
	b.run(chromedp.Click("main .danger", chromedp.ByQuery), chromedp.WaitReady(".notice"))
	if all, _, err = s.store.Instances(t.Context(), "orders"); err != nil || len(all) != 0 {
		t.Error(all, err)
	}
	if got := s.post(s.admin, remove); got.status != http.StatusNotFound {
		t.Errorf("removed once more: %d", got.status)
	}
}
