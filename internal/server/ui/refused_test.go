package ui_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

func TestWritesThatThePagesRefuseAreInTheAudit(t *testing.T) {
	s := newSite(t)
	at := changing(s)
	if _, err := s.store.PutRoute(t.Context(), mesh.Route{Name: "shop", Owner: "team-shop", Hosts: []string{"shop.example"}, Backends: []mesh.WeightedBackend{{Service: "orders", Weight: 1}}}, by); err != nil {
		t.Fatal(err)
	}
	s.register(mesh.Instance{ID: "orders-1", Service: "orders", Address: "10.0.0.7", Port: 1})
	route, err := s.store.Route(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	instances, _, err := s.store.Instances(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	service := []string{"name", "stolen", "owner", "team-shop", "protocol", "http", "port", "80", "dependencies#which", "nothing"}
	other := s.token(registry.Token{Owners: []string{"team-other"}})
	for _, c := range []struct {
		path           string
		posted         []string
		action, object string // "": it is in no audit
	}{
		{editOrders, []string{"~do", "save"}, "save", "service/orders"},
		{editOrders, []string{"~do", "review"}, "", ""},
		{"/ui/declare/service", append(service, "~do", "save"), "save", "service/stolen"},
		{"/ui/routes/shop/edit", []string{"~do", "save"}, "save", "route/shop"},
		{"/ui/services/orders/delete", []string{"~base", fmt.Sprint(at[2])}, "delete", "service/orders"},
		{"/ui/routes/shop/delete", []string{"~base", fmt.Sprint(route.Meta.Revision)}, "delete", "route/shop"},
		{"/ui/services/orders/rollback", []string{"to", fmt.Sprint(at[0]), "over", fmt.Sprint(at[2])}, "rollback", "service/orders"},
		{"/ui/declare/instance", []string{"~do", "save", "service", "orders", "id", "x", "address", "10.0.0.1", "port", "1"}, "register", "instance/orders/x"},
		{"/ui/services/orders/instances/orders-1/remove", []string{"~base", instances[0].Epoch}, "deregister", "instance/orders/orders-1"},
		{"/ui/services/orders/callers", []string{"caller", "web", "decision", "approve"}, "decide about a caller", "service/orders"},
		{"/ui/drift/declare", []string{"caller", "orders", "callee", "stock"}, "declare a call", "service/orders"},
	} {
		before, err := s.store.Audit(t.Context(), registry.AuditQuery{Outcome: mesh.AuditRefused})
		if err != nil {
			t.Fatal(err)
		}
		got := s.post(other, c.path, c.posted...)
		after, err := s.store.Audit(t.Context(), registry.AuditQuery{Outcome: mesh.AuditRefused})
		if err != nil || got.status != http.StatusForbidden {
			t.Errorf("%s: %d, %v: %s", c.path, got.status, err, got.body)
			continue
		}
		if c.action == "" {
			if len(after) != len(before) {
				t.Errorf("%s: %+v", c.path, after[0])
			}
			continue
		}
		if len(after) != len(before)+1 || after[0].Action != c.action || after[0].Object != c.object || after[0].Source != "ui" || !strings.HasPrefix(after[0].Author, "token:") || after[0].Reason == "" {
			t.Errorf("%s: of %d entries the newest is %+v", c.path, len(after), after[:min(1, len(after))])
		}
	}
}

func TestDriftIsNotDeclaredWherePortsClash(t *testing.T) {
	s := newSite(t)
	s.declare(mesh.Service{Name: "db", Protocol: mesh.TCP, Port: 5432}, mesh.Service{Name: "other-db", Protocol: mesh.TCP, Port: 5432}, mesh.Service{Name: "orders", Dependencies: []mesh.ServiceName{"db"}})
	got := s.post(s.admin, "/ui/drift/declare", "caller", "orders", "callee", "other-db")
	if got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "only once") || len(s.stored("orders").Dependencies) != 1 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// Somebody whose session ended signs in from the page that kept what was posted.
func TestSigningInRollsNothingBack(t *testing.T) {
	s := newSite(t)
	at := changing(s)
	const page = "/ui/services/orders/rollback"
	got := s.post("", page, "to", fmt.Sprint(at[0]), "over", fmt.Sprint(at[2]), "~token", s.admin)
	if got.status != http.StatusOK || !strings.Contains(got.body, "Roll orders back to revision") || s.stored("orders").Description != "third" {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestAnInstanceThatRegisteredAnewIsNotRemoved(t *testing.T) {
	s := newSite(t)
	s.declare(mesh.Service{Name: "orders"})
	one := mesh.Instance{ID: "orders-1", Service: "orders", Address: "10.0.0.7", Port: 1}
	s.register(one)
	const remove = "/ui/services/orders/instances/orders-1/remove"
	_, rest, _ := strings.Cut(s.get(s.admin, remove).body, `name="~base" value="`)
	shown, _, _ := strings.Cut(rest, `"`)
	if err := s.store.Deregister(t.Context(), one.Key(), "", by); err != nil {
		t.Fatal(err)
	}
	s.register(one)
	for _, base := range []string{shown, ""} {
		if got := s.post(s.admin, remove, "~base", base); got.status != http.StatusConflict {
			t.Errorf("with %q: %d %s", base, got.status, got.body)
		}
	}
	if all, _, err := s.store.Instances(t.Context(), "orders"); err != nil || len(all) != 1 {
		t.Error(all, err)
	}
}
