package server_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
	"github.com/heddle-mesh/heddle/internal/server"
)

func TestACallerIsApproved(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.declare(strings.Replace(ordersBody, "{", `{"access":{"callers":"approved","approved":["old"]},`, 1))
	w.seen()
	web := strings.NewReplacer("orders", "web", "team-a", "team-b", "[]", `["orders"]`).Replace(ordersBody)
	got := w.write("POST", "/api/v1/services", web)
	if got.status != 201 || !strings.Contains(got.body, `"unapproved":["orders"]`) {
		t.Fatalf("%d %s", got.status, got.body)
	}
	route := strings.Replace(routeBody, `"hosts"`, `"gateways":["edge"],"hosts"`, 1)
	if got := w.write("PUT", "/api/v1/routes/shop", route); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	w.seen()
	if got := w.call("GET", "/api/v1/problems", ""); !strings.Contains(got.body, "heddle approve orders web") {
		t.Errorf("%s", got.body)
	}
	if got := w.call("GET", "/api/v1/services", ""); strings.Count(got.body, `"unapproved":["orders"]`) != 1 {
		t.Errorf("%s", got.body)
	}
	c := w.client(w.token(registry.Token{Owners: []string{"team-a"}}))
	states := func() string {
		t.Helper()
		list, err := c.Approvals(ctx, "orders")
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, a := range list {
			declared := ""
			if !a.Declared {
				declared = ", not declared"
			}
			out = append(out, a.Caller+" "+a.State+declared)
		}
		return strings.Join(out, "; ")
	}
	if got := states(); got != "gateway/edge pending; old approved, not declared; web pending" {
		t.Error(got)
	}
	// Whoever asks does not approve.
	theirs := w.client(w.token(registry.Token{Owners: []string{"team-b"}}))
	if _, err := theirs.Approve(ctx, "orders", "web"); mesh.KindOf(err) != mesh.KindDenied {
		t.Errorf("%v", err)
	}
	if err := theirs.RevokeApproval(ctx, "orders", "old"); mesh.KindOf(err) != mesh.KindDenied {
		t.Errorf("%v", err)
	}
	var group sync.WaitGroup // at once: neither approval is lost
	for _, caller := range []string{"web", "gateway/edge", "later"} {
		group.Go(func() {
			if approval, err := c.Approve(ctx, "orders", caller); err != nil || approval.State != "approved" || approval.Declared == (caller == "later") {
				t.Errorf("%+v, %v", approval, err)
			}
		})
	}
	group.Wait()
	if got := states(); got != "gateway/edge approved; later approved, not declared; old approved, not declared; web approved" {
		t.Error(got)
	}
	before, err := c.Service(ctx, "orders")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Approve(ctx, "orders", "web"); err != nil { // once more: nothing is written
		t.Fatal(err)
	}
	if after, err := c.Service(ctx, "orders"); err != nil || after.Meta.Revision != before.Meta.Revision {
		t.Errorf("from revision %d to %d, %v", before.Meta.Revision, after.Meta.Revision, err)
	}
	if err := c.RevokeApproval(ctx, "orders", "gateway/edge"); err != nil {
		t.Fatal(err)
	}
	if err := c.RevokeApproval(ctx, "orders", "gateway/edge"); mesh.KindOf(err) != mesh.KindNotFound {
		t.Errorf("%v", err)
	}
	for caller, kind := range map[string]mesh.ErrorKind{"NO such": mesh.KindInvalid, "a/b": mesh.KindInvalid} {
		if _, err := c.Approve(ctx, "orders", caller); mesh.KindOf(err) != kind {
			t.Errorf("%s: %v", caller, err)
		}
	}
	if _, err := w.client(w.admin).Approve(ctx, "web", "orders"); mesh.KindOf(err) != mesh.KindInvalid || !strings.Contains(err.Error(), "access.callers") {
		t.Errorf("%v", err)
	}
	if _, err := w.client(w.admin).Approve(ctx, "nobody", "orders"); mesh.KindOf(err) != mesh.KindNotFound {
		t.Errorf("%v", err)
	}
	if got := w.call("GET", "/api/v1/approvals?state=pending&caller=gateway%2Fedge", ""); !strings.Contains(got.body, `"callee":"orders"`) {
		t.Errorf("%s", got.body)
	}
	if got := w.call("GET", "/api/v1/approvals?state=maybe", ""); got.status != 422 {
		t.Errorf("%s", got.body)
	}
	// It is in the audit, as what it is.
	entries, err := c.Audit(ctx, client.AuditQuery{Object: "service/orders", Limit: 2})
	if err != nil || len(entries) != 2 {
		t.Fatalf("%+v, %v", entries, err)
	}
}

func TestWhoReadsTheAudit(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.declare(ordersBody)
	w.declare(strings.NewReplacer("orders", "bank", "team-a", "team-b").Replace(ordersBody))
	a, of := w.client(w.token(registry.Token{Owners: []string{"team-a"}})), w.client(w.token(registry.Token{Service: "bank"}))
	if _, err := a.Approve(ctx, "bank", "orders"); mesh.KindOf(err) != mesh.KindDenied {
		t.Fatalf("%v", err)
	}
	if got := w.write("PUT", "/api/v1/runtime", `{"values":{}}`); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	objects := func(c *client.Client, q client.AuditQuery) string {
		t.Helper()
		entries, err := c.Audit(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, e := range entries {
			if !strings.HasPrefix(e.Object, "token/") {
				out = append(out, e.Action+" "+e.Object)
			}
		}
		return strings.Join(out, "; ")
	}
	if got := objects(w.client(w.admin), client.AuditQuery{}); got != "create runtime; approveCaller service/bank; create service/bank; create service/orders" {
		t.Error(got)
	}
	if got := objects(a, client.AuditQuery{}); got != "create service/orders" {
		t.Error(got)
	}
	if got := objects(of, client.AuditQuery{}); got != "approveCaller service/bank; create service/bank" {
		t.Error(got)
	}
	if got := objects(w.client(w.admin), client.AuditQuery{Outcome: "refused"}); got != "approveCaller service/bank" {
		t.Error(got)
	}
	for query, status := range map[string]int{"": 401, "?limit=5": 401} {
		if got := w.call("GET", "/api/v1/audit"+query, ""); got.status != status {
			t.Errorf("%s: %d %s", query, got.status, got.body)
		}
	}
	for _, query := range []string{"?limit=0", "?limit=1001", "?limit=-1", "?since=yesterday", "?outcome=maybe", "?nonsense=1"} {
		if got := w.write("GET", "/api/v1/audit"+query, ""); got.status != 422 {
			t.Errorf("%s: %d %s", query, got.status, got.body)
		}
	}
}

func TestReadsMayNeedAToken(t *testing.T) {
	w := newWorld(t, func(cfg *server.Config) { cfg.RequireReadToken = true })
	w.declare(ordersBody)
	limited := w.token(registry.Token{Kind: registry.InstancesToken, Service: "web"})
	var document struct {
		Paths map[string]map[string]struct{ Tags []string }
	}
	if err := json.Unmarshal([]byte(w.call("GET", "/openapi.json", "").body), &document); err != nil {
		t.Fatal(err)
	}
	tried := 0
	for path, methods := range document.Paths {
		read, is := methods["get"]
		if !is {
			continue
		}
		tried++
		path = strings.NewReplacer("{name}", "orders", "{service}", "orders", "{id}", "o-1").Replace(path)
		open := read.Tags[0] == "health"
		if got := w.call("GET", path, ""); (got.status == 401) == open {
			t.Errorf("%s without a token: %d %s", path, got.status, got.body)
		}
		if got := w.call("GET", path, "", "Authorization: Bearer "+w.admin+"x"); (got.status == 401) == open {
			t.Errorf("%s with a wrong token: %d %s", path, got.status, got.body)
		}
		if strings.HasSuffix(path, "/events") { // it would not end
			continue
		}
		if got := w.call("GET", path, "", "Authorization: Bearer "+limited); got.status == 401 {
			t.Errorf("%s with a token: %d %s", path, got.status, got.body)
		}
	}
	if tried < 10 {
		t.Errorf("%d reads", tried)
	}
	for _, path := range []string{"/docs", "/openapi.json", "/livez", "/readyz"} {
		if got := w.call("GET", path, ""); got.status != 200 {
			t.Errorf("%s: %d", path, got.status)
		}
	}
}

func TestACertificateIsEnoughToRead(t *testing.T) {
	s := newSecure(t, func(cfg *server.Config) { cfg.RequireReadToken = true })
	certificate := s.join(mesh.Identity{Kind: mesh.GatewayIdentity, Name: "edge"})
	if got := s.over("GET", "/api/v1/services", "", "", certificate); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := s.over("GET", "/api/v1/services", "", "", nil); got.status != 401 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// A caller that its callee's owner refuses waits no more, until it is approved after all.
func TestACallerIsRefused(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.declare(strings.Replace(ordersBody, "{", `{"access":{"callers":"approved"},`, 1))
	w.declare(strings.NewReplacer("orders", "web", "team-a", "team-b", "[]", `["orders"]`).Replace(ordersBody))
	w.seen()
	owner := w.client(w.token(registry.Token{Owners: []string{"team-a"}}))
	theirs := w.client(w.token(registry.Token{Owners: []string{"team-b"}}))
	if _, err := theirs.RefuseCaller(ctx, "orders", "web"); mesh.KindOf(err) != mesh.KindDenied {
		t.Errorf("who asks refuses: %v", err)
	}
	if _, err := owner.RefuseCaller(ctx, "orders", "No Name"); mesh.KindOf(err) != mesh.KindInvalid {
		t.Errorf("what is no name: %v", err)
	}
	state := func() string {
		t.Helper()
		list, err := owner.Approvals(ctx, "orders")
		if err != nil || len(list) != 1 {
			t.Fatalf("%+v %v", list, err)
		}
		return list[0].State
	}
	for i, c := range []struct {
		do   func() error
		want string
	}{
		{func() error { return nil }, "pending"},
		{func() error { _, err := owner.RefuseCaller(ctx, "orders", "web"); return err }, "refused"},
		{func() error { _, err := owner.RefuseCaller(ctx, "orders", "web"); return err }, "refused"},
		{func() error { _, err := owner.Approve(ctx, "orders", "web"); return err }, "approved"},
		{func() error { _, err := owner.RefuseCaller(ctx, "orders", "web"); return err }, "refused"},
		{func() error { return owner.RevokeApproval(ctx, "orders", "web") }, "pending"},
		{func() error { _, err := owner.RefuseCaller(ctx, "orders", "web"); return err }, "refused"},
	} {
		if err := c.do(); err != nil || state() != c.want {
			t.Errorf("step %d: %s, want %s: %v", i, state(), c.want, err)
		}
	}
	w.seen()
	if got := w.call("GET", "/api/v1/services/web", ""); strings.Contains(got.body, "unapproved") || !strings.Contains(got.body, `"refused":["orders"]`) {
		t.Errorf("%s", got.body)
	}
	if got := w.call("GET", "/api/v1/problems", ""); !strings.Contains(got.body, "is refused by the owner") || strings.Contains(got.body, "has not approved it") {
		t.Errorf("%s", got.body)
	}
	if got := w.call("GET", "/api/v1/approvals?state=pending", ""); strings.Contains(got.body, "web") {
		t.Errorf("%s", got.body)
	}
	if got := w.call("GET", "/api/v1/explain?from=web&to=orders", ""); !strings.Contains(got.body, "is refused by the owner, team-a") || !strings.Contains(got.body, "heddle approve orders web") {
		t.Errorf("%s", got.body)
	}
	stored, err := w.store.Service(ctx, "orders")
	if err != nil || len(stored.Access.Approved) != 0 || len(stored.Access.Refused) != 1 {
		t.Errorf("%+v %v", stored.Access, err)
	}
	states, err := w.store.ServiceHistory(ctx, "orders")
	if err != nil || states[0].Action != "refuse" || states[1].Action != "revoke" {
		t.Errorf("%+v %v", states, err)
	}
}
