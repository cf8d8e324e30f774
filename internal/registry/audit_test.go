package registry_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

func TestEveryWriteHasItsLine(t *testing.T) {
	s := openStore(t)
	ctx := t.Context()
	w := registry.Write{Author: "token:a", Source: "rest", From: "10.0.0.1:1", RequestID: "one"}
	first, err := s.PutService(ctx, service("orders", "web"), w)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutService(ctx, service("orders", "web"), w); err != nil { // again, as the same request
		t.Fatal(err)
	}
	changed := service("orders", "web", "ledger")
	changed.Owner, changed.Traffic.HostHeader = "team-b", "secret.example.com"
	w.RequestID = ""
	second, err := s.PutService(ctx, changed, w)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteService(ctx, "orders", w); err != nil {
		t.Fatal(err)
	}
	entries, err := s.Audit(ctx, registry.AuditQuery{Object: "service/orders"})
	if err != nil || len(entries) != 3 {
		t.Fatalf("%+v, %v", entries, err)
	}
	gone, replaced, made := entries[0], entries[1], entries[2]
	if made.Action != "create" || made.Revision != first.Meta.Revision || made.Previous != 0 || made.Author != "token:a" || made.From != "10.0.0.1:1" || made.Source != "rest" || made.RequestID != "one" || made.Service != "orders" || time.Since(made.Time) > time.Minute {
		t.Errorf("%+v", made)
	}
	if replaced.Action != "replace" || replaced.Revision != second.Meta.Revision || replaced.Previous != first.Meta.Revision || strings.Join(replaced.Owners, ",") != "team-a,team-b" {
		t.Errorf("%+v", replaced)
	}
	want := []mesh.AuditChange{{Field: "dependencies", Before: `["web"]`, After: `["web","ledger"]`}, {Field: "owner", Before: `"team-a"`, After: `"team-b"`}, {Field: "traffic"}}
	if len(replaced.Changes) != len(want) {
		t.Fatalf("%+v", replaced.Changes)
	}
	for i := range want {
		if replaced.Changes[i] != want[i] {
			t.Errorf("%+v, want %+v", replaced.Changes[i], want[i])
		}
	}
	if gone.Action != "delete" || gone.Previous != second.Meta.Revision || gone.Revision <= gone.Previous {
		t.Errorf("%+v", gone)
	}
	// What is done to tokens, too, without their secrets.
	_, secret, err := s.CreateToken(ctx, registry.Token{Service: "orders"}, w)
	if err != nil {
		t.Fatal(err)
	}
	_, join, err := s.CreateJoinToken(ctx, registry.Token{Service: "orders"}, 0, w)
	if err != nil {
		t.Fatal(err)
	}
	joined, err := s.Join(ctx, join, "key", registry.Write{From: "10.0.0.9:1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RevokeToken(ctx, joined.ID, w); err != nil {
		t.Fatal(err)
	}
	entries, err = s.Audit(ctx, registry.AuditQuery{Limit: 4})
	if err != nil || len(entries) != 4 {
		t.Fatalf("%+v, %v", entries, err)
	}
	for i, action := range []string{"revoke", "join", "create", "create"} {
		if entries[i].Action != action || entries[i].Service != "orders" {
			t.Errorf("%d: %+v", i, entries[i])
		}
	}
	if entries[1].Author != "join-token:"+joined.ID || entries[1].From != "10.0.0.9:1" {
		t.Errorf("%+v", entries[1])
	}
	whole, err := s.Audit(ctx, registry.AuditQuery{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range whole {
		for _, change := range entry.Changes {
			if text := change.Before + change.After; strings.Contains(text, "secret") || strings.Contains(text, secret[20:]) {
				t.Errorf("%+v", entry)
			}
		}
	}
}

// Who is approved cannot hide behind those who were before.
func TestTheAuditShowsWhereLongValuesDiffer(t *testing.T) {
	s := openStore(t)
	ctx := t.Context()
	orders := service("orders")
	orders.Access.Callers = mesh.ApprovedCallers
	for i := range 200 {
		orders.Access.Approved = append(orders.Access.Approved, fmt.Sprintf("caller-%d", i))
	}
	if _, err := s.PutService(ctx, orders, registry.Write{}); err != nil {
		t.Fatal(err)
	}
	orders.Access.Approved = append(orders.Access.Approved, "stranger")
	if _, err := s.PutService(ctx, orders, registry.Write{}); err != nil {
		t.Fatal(err)
	}
	entries, err := s.Audit(ctx, registry.AuditQuery{Object: "service/orders", Limit: 1})
	if err != nil || len(entries) != 1 || len(entries[0].Changes) != 1 {
		t.Fatalf("%+v, %v", entries, err)
	}
	change := entries[0].Changes[0]
	if strings.Contains(change.Before, "stranger") || !strings.HasSuffix(change.After, `"caller-199","stranger"]}`) || len(change.After) > 400 {
		t.Errorf("%+v", change)
	}
}

func TestWhatIsRefusedIsKeptInAFewBytes(t *testing.T) {
	s := openStore(t)
	long := strings.Repeat("a", 100<<10)
	s.Refused(t.Context(), mesh.AuditEntry{Action: long, Object: "service/" + long, Service: mesh.ServiceName(long), Author: "token:a", From: long, RequestID: long, Reason: long})
	entries, err := s.Audit(t.Context(), registry.AuditQuery{Outcome: mesh.AuditRefused})
	if err != nil || len(entries) != 1 {
		t.Fatal(entries, err)
	}
	data, err := json.Marshal(entries)
	if err != nil || len(data) > 4096 || !strings.HasPrefix(entries[0].Object, "service/aaa") || !strings.HasSuffix(entries[0].Reason, "…") {
		t.Errorf("%d bytes, %v: %.300s", len(data), err, data)
	}
}

func TestWhatTheAuditIsAskedFor(t *testing.T) {
	s := openStore(t)
	ctx := t.Context()
	for _, one := range []struct{ name, author string }{{"orders", "token:a"}, {"orders-2", "token:a"}, {"web", "token:b"}} {
		if _, err := s.PutService(ctx, service(one.name), registry.Write{Author: one.author}); err != nil {
			t.Fatal(err)
		}
	}
	s.Refused(ctx, mesh.AuditEntry{Action: "putService", Object: "service/web", Service: "web", Author: "token:c", Reason: "no"})
	s.Refused(ctx, mesh.AuditEntry{Action: "putService", Object: "service/web", Reason: "nobody knows this one"}) // in the log only
	for name, c := range map[string]struct {
		query registry.AuditQuery
		want  string
	}{
		"all":          {registry.AuditQuery{}, "service/web service/web service/orders-2 service/orders"},
		"an object":    {registry.AuditQuery{Object: "service/orders"}, "service/orders"},
		"a kind":       {registry.AuditQuery{Object: "service/"}, "service/web service/web service/orders-2 service/orders"},
		"another kind": {registry.AuditQuery{Object: "route/"}, ""},
		"an author":    {registry.AuditQuery{Author: "token:a"}, "service/orders-2 service/orders"},
		"refused":      {registry.AuditQuery{Outcome: mesh.AuditRefused}, "service/web"},
		"done":         {registry.AuditQuery{Outcome: mesh.AuditDone, Limit: 1}, "service/web"},
		"not yet":      {registry.AuditQuery{Since: time.Now().Add(time.Hour)}, ""},
		"an hour":      {registry.AuditQuery{Since: time.Now().Add(-time.Hour), Limit: 2}, "service/web service/web"},
		"an owner's":   {registry.AuditQuery{Visible: func(e *mesh.AuditEntry) bool { return registry.Token{Service: "web"}.MayRead(e.Service, e.Owners) }}, "service/web service/web"},
	} {
		entries, err := s.Audit(ctx, c.query)
		var got []string
		for _, entry := range entries {
			got = append(got, entry.Object)
		}
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestTheAuditIsBounded(t *testing.T) {
	etcd, s := startEtcd(t, t.TempDir())
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	// As many as there may be, all newer than what comes, and one that is too old.
	for _, folder := range []string{"done", "refused"} {
		most := map[string]int{"done": registry.MostAudited, "refused": registry.MostRefused}[folder]
		for at := 0; at < most; at += 100 {
			var ops []clientv3.Op
			for i := range 100 {
				ops = append(ops, clientv3.OpPut("/heddle/v1/audit/"+folder+"/0"+strings.Repeat("0", 10)+pad(at+i), `{}`))
			}
			if _, err := client.Txn(t.Context()).Then(ops...).Commit(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := client.Put(t.Context(), "/heddle/v1/audit/done/7fffffffffffffff-0", `{}`); err != nil { // of 1970
		t.Fatal(err)
	}
	if _, err := s.PutService(t.Context(), service("orders"), registry.Write{}); err != nil {
		t.Fatal(err)
	}
	s.Refused(context.WithoutCancel(t.Context()), mesh.AuditEntry{Author: "token:a"})
	for folder, most := range map[string]int64{"done": registry.MostAudited, "refused": registry.MostRefused + 1} {
		kept, err := client.Get(t.Context(), "/heddle/v1/audit/"+folder+"/", clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err != nil || kept.Count > most {
			t.Errorf("%s: %d, %v", folder, kept.Count, err)
		}
	}
}

func pad(i int) string { return fmt.Sprintf("%05d", i) }

// A transaction that fails leaves no line, and one that is refused changes nothing.
func TestNoLineWithoutItsChange(t *testing.T) {
	s := openStore(t)
	ctx := t.Context()
	if _, err := s.PutService(ctx, service("orders"), registry.Write{Create: true}); err != nil {
		t.Fatal(err)
	}
	_, err := s.PutService(ctx, service("orders"), registry.Write{Create: true})
	wantKind(t, err, mesh.KindConflict)
	_, err = s.PutService(ctx, service("orders"), registry.Write{By: registry.Token{Owners: []string{"team-b"}}})
	wantKind(t, err, mesh.KindDenied)
	wantKind(t, s.DeleteService(ctx, "orders", registry.Write{By: registry.Token{Owners: []string{"team-b"}}}), mesh.KindDenied)
	entries, err := s.Audit(ctx, registry.AuditQuery{})
	if err != nil || len(entries) != 1 {
		t.Errorf("%+v, %v", entries, err)
	}
}
