package ui_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// What a keeper has the pages show, and say where it is changed.
func TestWhatIsKeptIsShownAndNotChanged(t *testing.T) {
	s := newSite(t)
	ctx := t.Context()
	keeping := registry.Write{Author: "token:operator", Source: "kubernetes", Keeper: "kubernetes/prod/shop/orders"}
	orders := mesh.Service{
		Name: "orders", Owner: "team-shop", Protocol: mesh.HTTP, Port: 80, Dependencies: []mesh.ServiceName{}, Access: mesh.Access{Callers: mesh.ApprovedCallers},
		Endpoints: mesh.Endpoints{Kubernetes: &mesh.KubernetesEndpoints{Clusters: []string{"prod"}, Namespace: "shop"}},
	}
	if _, err := s.store.PutService(ctx, orders, keeping); err != nil {
		t.Fatal(err)
	}
	route := mesh.Route{Name: "shop", Owner: "team-shop", Hosts: []string{"shop.example.com"}, Backends: []mesh.WeightedBackend{{Service: "orders", Weight: 1}}}
	if _, err := s.store.PutRoute(ctx, route, keeping); err != nil {
		t.Fatal(err)
	}
	s.declare(mesh.Service{Name: "web", Dependencies: []mesh.ServiceName{"orders"}})
	s.seen()
	const page, where = "/ui/services/orders", "as orders in namespace shop of Kubernetes cluster prod"
	if got := s.get(s.admin, page); !strings.Contains(got.body, where) || !strings.Contains(got.body, "See the form") || strings.Contains(got.body, ">Edit</a>") || !strings.Contains(got.body, "No pod is registered") {
		t.Errorf("%d %s", got.status, got.body)
	}
	pods := []mesh.Instance{{ID: "orders-7d4f.shop.prod", Address: "10.1.0.7", Port: 15006}}
	if _, err := s.store.KeepInstances(ctx, "orders", pods, registry.Write{Author: "token:operator", Keeper: "kubernetes/prod"}); err != nil {
		t.Fatal(err)
	}
	s.register(mesh.Instance{Service: "orders", ID: "vm-1", Address: "10.0.0.7", Port: 80})
	s.seen()
	got := s.get(s.admin, page)
	if !strings.Contains(got.body, "kubernetes/prod</td>") || strings.Contains(got.body, page+"/instances/orders-7d4f.shop.prod/remove") || !strings.Contains(got.body, page+"/instances/vm-1/remove") {
		t.Errorf("%d %s", got.status, got.body)
	}
	for _, form := range []string{page + "/edit", "/ui/routes/shop/edit"} {
		got := s.get(s.admin, form)
		if got.status != http.StatusOK || !strings.Contains(got.body, where) || !strings.Contains(got.body, "cannot be stored") || strings.Contains(got.body, "Review…") || strings.Contains(got.body, "Delete…") {
			t.Errorf("%s: %d %s", form, got.status, got.body)
		}
	}
	if got := s.get(s.admin, page+"/edit"); !strings.Contains(got.body, `value="shop"`) || !strings.Contains(got.body, "Kubernetes: the pods behind") {
		t.Errorf("its fields are not shown: %s", got.body)
	}
	if got := s.get(s.admin, "/ui/routes"); !strings.Contains(got.body, "kept by kubernetes/prod/shop/orders") {
		t.Errorf("%s", got.body)
	}
	if got := s.get(s.admin, "/ui/approvals"); !strings.Contains(got.body, "not yours to decide") {
		t.Errorf("%s", got.body)
	}
	if got := s.post(s.admin, page+"/callers", "caller", "web", "decision", "approve"); got.status != http.StatusConflict || !strings.Contains(got.body, "access.approved") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := s.post(s.admin, page+"/delete", "name", "orders", "~do", "delete", "~revision", s.revision("orders")); got.status == http.StatusSeeOther || s.stored("orders").Name == "" {
		t.Errorf("%d %s", got.status, got.body)
	}
}
