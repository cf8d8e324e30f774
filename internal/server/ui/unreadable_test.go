package ui_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// Each of these showed the review again for ever, and no reason.
func TestSavingSaysWhyNothingIsStored(t *testing.T) {
	s := newSite(t)
	s.declare(mesh.Service{Name: "orders"})
	if _, err := s.store.PutRoute(t.Context(), mesh.Route{Name: "shop", Owner: "team-shop", Hosts: []string{"shop.example"}, Backends: []mesh.WeightedBackend{{Service: "orders", Weight: 1}}}, by); err != nil {
		t.Fatal(err)
	}
	const editShop = "/ui/routes/shop/edit"
	service, route := opened(t, s.get(s.admin, editOrders).body), opened(t, s.get(s.admin, editShop).body)
	s.putRaw("/heddle/v1/services/orders", "nonsense")
	s.putRaw("/heddle/v1/routes/shop", "nonsense")
	fresh := []string{"name", "orders", "description", "mine", "owner", "team-shop", "protocol", "tcp", "port", "1", "dependencies#which", "nothing"}
	for _, c := range []struct {
		name, path string
		form       []string
		mend       string // where it leads
	}{
		{"a service that became unreadable", editOrders, with(service, "description", "mine"), editOrders},
		{"a new service with the name of an unreadable one", "/ui/declare/service", fresh, editOrders},
		{"a route that became unreadable", editShop, with(route, "hosts", "mine.example"), ""},
	} {
		for _, do := range []string{"review", "save"} {
			got := s.post(s.admin, c.path, with(c.form, "~do", do)...)
			if got.status != http.StatusConflict || !strings.Contains(got.body, "cannot be read") || !strings.Contains(got.body, "mine") || strings.Contains(got.body, `value="save"`) {
				t.Errorf("%s, %s: %d %s", c.name, do, got.status, got.body)
			}
			if leads := strings.Contains(got.body, `<a href="`+c.mend+`">Mend`); leads != (c.mend != "") {
				t.Errorf("%s leads to where it is mended: %t", c.name, leads)
			}
		}
	}
}

func TestAServiceWithTooManyTokensOfItsFormerOwnerIsNotStored(t *testing.T) {
	s := newSite(t)
	s.declare(mesh.Service{Name: "orders"})
	for i := range 101 {
		s.token(registry.Token{Service: "orders", Owners: []string{"team-shop"}, Description: fmt.Sprint(i)})
	}
	if err := s.store.DeleteService(t.Context(), "orders", by); err != nil {
		t.Fatal(err)
	}
	s.seen()
	got := s.post(s.admin, "/ui/declare/service", "~do", "save", "name", "orders", "owner", "team-other", "protocol", "tcp", "port", "1", "dependencies#which", "nothing")
	if got.status != http.StatusConflict || !strings.Contains(got.body, "end them first") || !strings.Contains(got.body, "Nothing was stored") || strings.Contains(got.body, "Somebody else") {
		t.Errorf("%d %s", got.status, got.body)
	}
}
