package ui_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

func TestADeletedServiceComesBackFromItsPage(t *testing.T) {
	s := newSite(t)
	s.declare(mesh.Service{Name: "orders", Description: "first"})
	good := s.revision("orders")
	if err := s.store.DeleteService(t.Context(), "orders", by); err != nil {
		t.Fatal(err)
	}
	s.seen()
	const page = "/ui/services/orders"
	for who, c := range map[string]struct {
		token string
		back  bool
	}{
		"nobody": {"", false}, "another owner": {s.token(registry.Token{Owners: []string{"team-web"}}), false}, "its owner": {s.token(registry.Token{Owners: []string{"team-shop"}}), true}, "an admin": {s.admin, true},
	} {
		got := s.get(c.token, page)
		if got.status != http.StatusNotFound || !strings.Contains(got.body, "orders was deleted") || !strings.Contains(got.body, map[bool]string{true: "token:0123456789ab", false: "Somebody"}[c.back]+" deleted it on") || !strings.Contains(got.body, page+"/history") {
			t.Errorf("%s: %d %s", who, got.status, got.body)
		}
		if back := strings.Contains(got.body, page+"/rollback?to="+good); back != c.back || back == strings.Contains(got.body, "It belonged to team-shop") {
			t.Errorf("%s is offered the way back: %t", who, back)
		}
	}
	if got := s.post(s.admin, page+"/rollback", "to", good, "over", "0"); got.status != http.StatusSeeOther {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if got := s.get("", page); got.status != http.StatusOK {
		t.Errorf("rolled back: %d", got.status)
	}
	if got := s.get("", "/ui/services/unheard-of"); got.status != http.StatusNotFound || !strings.Contains(got.body, "No service is called like this") {
		t.Errorf("what never was: %d", got.status)
	}
}

func TestAServiceThatCannotBeReadIsMendedInThePages(t *testing.T) {
	s := newSite(t)
	s.declare(mesh.Service{Name: "orders", Description: "good"}, mesh.Service{Name: "web"})
	good := s.revision("orders")
	const page = "/ui/services/orders"
	broken := strconv.FormatInt(s.putRaw("/heddle/v1/services/orders", `{"name": nonsense`), 10)
	if body := s.get("", "/ui/").body; !strings.Contains(body, `<a href="`+page+`">/heddle/v1/services/orders</a>`) {
		t.Error("the overview does not lead to it")
	}
	seen := s.get(s.admin, page) // the last good version is in force
	if seen.status != http.StatusOK || !strings.Contains(seen.body, "cannot be read and was set aside") || !strings.Contains(seen.body, ">Mend</a>") {
		t.Errorf("%d %s", seen.status, seen.body)
	}
	for _, path := range []string{page + "/edit", page} {
		on := s
		if path == page { // a server that has never seen a good version
			on = newSiteOn(t, s)
		}
		got := on.get(s.admin, path)
		for _, want := range []string{"orders cannot be read", "invalid character", page + "/rollback?to=" + good, page + "/delete"} {
			if got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, want) {
				t.Errorf("%s: %d lacks %q: %s", path, got.status, want, got.body)
			}
		}
	}
	owner := s.token(registry.Token{Owners: []string{"team-shop"}})
	if got := s.get(owner, page+"/edit").body; strings.Contains(got, "/rollback") || !strings.Contains(got, "An admin may") {
		t.Errorf("an owner sees %s", got)
	}
	confirm := s.get(s.admin, page+"/delete")
	if confirm.status != http.StatusOK || !strings.Contains(confirm.body, "cannot be read") || !strings.Contains(confirm.body, `name="~base" value="`+broken+`"`) {
		t.Fatalf("%d %s", confirm.status, confirm.body)
	}
	if got := s.post(s.admin, page+"/delete", "~base", "1"); got.status != http.StatusConflict {
		t.Errorf("deleted by a page of another state: %d", got.status)
	}
	if got := s.post(s.admin, page+"/delete", "~base", broken); got.status != http.StatusSeeOther {
		t.Errorf("%d %s", got.status, got.body)
	}
	over := s.putRaw("/heddle/v1/services/orders", `nonsense`)
	if got := s.post(s.admin, page+"/rollback", "to", good, "over", strconv.FormatInt(over, 10)); got.status != http.StatusSeeOther || s.stored("orders").Description != "good" {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// revision is that of a service as it is stored.
func (s *site) revision(name mesh.ServiceName) string {
	s.t.Helper()
	stored, err := s.store.Service(s.t.Context(), name)
	if err != nil {
		s.t.Fatal(err)
	}
	return strconv.FormatInt(stored.Meta.Revision, 10)
}

// putRaw writes a value past the registry, as another program could, and gives its revision.
func (s *site) putRaw(key, value string) int64 {
	s.t.Helper()
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{s.etcd.Endpoint()}})
	if err != nil {
		s.t.Fatal(err)
	}
	defer etcd.Close()
	put, err := etcd.Put(s.t.Context(), key, value)
	if err != nil {
		s.t.Fatal(err)
	}
	// The catalog learns nothing of what cannot be read; of what is written next, it does.
	s.declare(mesh.Service{Name: "beside", Description: "revision " + strconv.FormatInt(put.Header.Revision, 10)})
	return put.Header.Revision
}
