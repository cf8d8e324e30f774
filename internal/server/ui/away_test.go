package ui_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

func TestWhoIsSignedInSeesWithoutEtcdWhatEverybodySees(t *testing.T) {
	where := newSite(t)
	store, err := where.etcd.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	s := serve(t, store, where.admin)
	s.declare(mesh.Service{Name: "orders"})
	s.get(s.admin, "/ui/")
	stranger := where.cookie(where.token(registry.Token{Owners: []string{"team-shop"}})) // whom s does not know
	where.stopEtcd()
	for _, path := range []string{"/ui/", "/ui/services/orders"} {
		began := time.Now()
		got := s.get(s.admin, path)
		if took := time.Since(began); got.status != http.StatusOK || !strings.Contains(got.body, "Who changed what cannot be read now") || took > 4*time.Second {
			t.Errorf("%s: %d after %s: %s", path, got.status, took, got.body)
		}
	}
	for _, path := range []string{"/ui/", "/ui/services/orders", "/ui/sign-in"} {
		if got := s.call(http.MethodGet, path, "", stranger); got.status != http.StatusOK || !strings.Contains(got.body, "nobody can tell now who you are") {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if got := s.call(http.MethodGet, "/ui/services/orders/history", "", stranger); got.status != http.StatusServiceUnavailable {
		t.Errorf("a history: %d", got.status)
	}
	for _, path := range []string{"/ui/sign-out", "/ui/theme"} {
		if got := s.call(http.MethodPost, path, "", stranger, "Content-Type: application/x-www-form-urlencoded"); got.status != http.StatusSeeOther {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}
