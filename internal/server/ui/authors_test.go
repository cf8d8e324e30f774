package ui_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// Who wrote something is told on pages as the audit tells it.
func TestAnAuthorIsShownAsTheAuditIs(t *testing.T) {
	s := newSite(t)
	s.declare(mesh.Service{Name: "orders"})
	s.register(mesh.Instance{ID: "orders-1", Service: "orders", Address: "10.0.0.7", Port: 1})
	if _, err := s.store.PutRoute(t.Context(), mesh.Route{Name: "shop", Owner: "team-shop", Hosts: []string{"shop.example"}, Backends: []mesh.WeightedBackend{{Service: "orders", Weight: 1}}}, by); err != nil {
		t.Fatal(err)
	}
	s.seen()
	owner, other := s.token(registry.Token{Owners: []string{"team-shop"}}), s.token(registry.Token{Owners: []string{"team-else"}})
	const remove = "/ui/services/orders/instances/orders-1/remove"
	for _, path := range []string{"/ui/services/orders", editOrders, "/ui/services/orders/delete", "/ui/routes/shop/edit", "/ui/routes/shop/delete", remove} {
		if got := s.get(other, path); strings.Contains(got.body, by.Author) {
			t.Errorf("%s tells another owner who wrote it", path)
		}
		if got := s.get(owner, path); got.status != http.StatusOK {
			t.Errorf("%s to its owner: %d", path, got.status)
		}
	}
	for _, path := range []string{"/ui/services/orders/delete", "/ui/routes/shop/delete", remove} {
		if got := s.get(owner, path); !strings.Contains(got.body, by.Author) {
			t.Errorf("%s does not tell its owner who wrote it", path)
		}
		if got := s.get(other, path); got.status != http.StatusForbidden {
			t.Errorf("%s to another owner: %d", path, got.status)
		}
		if got := s.post(other, path, "~base", "1"); strings.Contains(got.body, by.Author) {
			t.Errorf("what is posted to %s tells another owner who wrote it", path)
		}
	}
	got := s.post(other, "/ui/declare/service", "~do", "resolve", "name", "orders", "owner", "team-else", "protocol", "http", "port", "80", "dependencies#which", "nothing")
	if got.status != http.StatusConflict || strings.Contains(got.body, by.Author) {
		t.Errorf("what two people made of a service, to another owner: %d", got.status)
	}
}
