package ui_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

func TestPagesReadABoundedPartOfTheAudit(t *testing.T) {
	s := newSite(t)
	s.declare(mesh.Service{Name: "orders", Owner: "team-quiet"})
	s.fillAudit(t, 9900)
	owner := s.token(registry.Token{Owners: []string{"team-quiet"}})
	page := s.get(owner, "/ui/services/orders")
	if page.status != http.StatusOK || !strings.Contains(page.body, "<strong>create</strong>") {
		t.Errorf("the page of a service lacks its own changes: %d", page.status)
	}
	overview := s.get(owner, "/ui/")
	if overview.status != http.StatusOK || !strings.Contains(overview.body, "among the newest changes") {
		t.Errorf("the overview looks through all of the audit: %d", overview.status)
	}
	for _, path := range []string{"/ui/", "/ui/services/orders"} {
		for who, token := range map[string]string{"an admin": s.admin, "an owner": owner} {
			began := time.Now()
			s.get(token, path)
			t.Logf("%s by %s: %s", path, who, time.Since(began))
		}
	}
}

// fillAudit puts so many newer entries about a service that is another owner's.
func (s *site) fillAudit(t *testing.T, many int) {
	t.Helper()
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{s.etcd.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	begin := time.Now()
	for from := 0; from < many; from += 100 {
		var puts []clientv3.Op
		for i := from; i < min(from+100, many); i++ {
			at := begin.Add(time.Duration(i) * time.Millisecond)
			value, err := json.Marshal(mesh.AuditEntry{Time: at, Outcome: mesh.AuditDone, Action: "replace", Object: "service/web", Service: "web", Owners: []string{"team-loud"}, Author: "token:x", Source: "rest"})
			if err != nil {
				t.Fatal(err)
			}
			puts = append(puts, clientv3.OpPut(fmt.Sprintf("/heddle/v1/audit/done/%016x-%08x", uint64(math.MaxInt64-at.UnixNano()), i), string(value)))
		}
		if _, err := etcd.Txn(context.Background()).Then(puts...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
}
