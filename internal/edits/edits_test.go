package edits_test

import (
	"context"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/edits"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

func TestEditsAreCheckedAndAudited(t *testing.T) {
	etcd, err := registry.StartEmbedded(t.Context(), registry.EmbeddedConfig{NoSync: true, DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	store, err := etcd.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	ctx := t.Context()
	view := catalog.New(catalog.Config{}).View()
	put := func(name mesh.ServiceName, port mesh.Port) mesh.Service {
		stored, err := store.PutService(ctx, mesh.Service{Name: name, Owner: "team-" + string(name), Protocol: mesh.TCP, Port: port, Dependencies: []mesh.ServiceName{}}, registry.Write{})
		if err != nil {
			t.Fatal(err)
		}
		view = view.With(mesh.Change{Service: &stored})
		return stored
	}
	put("orders", 5432)
	put("stock", 5432)
	first := put("web", 80)
	owner := registry.Write{By: registry.Token{ID: "o", Owners: []string{"team-web"}}, Author: "token:o"}
	other := registry.Write{By: registry.Token{ID: "x", Owners: []string{"team-orders"}}, Author: "token:x"}
	reader := registry.Write{By: registry.Token{ID: "r", Kind: registry.ReaderToken}}
	declare := func(callee mesh.ServiceName, w registry.Write) (mesh.Service, bool, error) {
		return edits.DeclareCall(ctx, store, view, "web", callee, w)
	}
	for _, w := range []registry.Write{other, reader} {
		if _, _, err := declare("orders", w); mesh.KindOf(err) != mesh.KindDenied {
			t.Errorf("%v declares: %v", w.By, err)
		}
	}
	stored, added, err := declare("orders", owner)
	if err != nil || !added || len(stored.Dependencies) != 1 {
		t.Fatalf("%+v %t %v", stored, added, err)
	}
	if again, added, err := declare("orders", owner); err != nil || added || again.Meta.Revision != stored.Meta.Revision {
		t.Errorf("done twice: %t %v", added, err)
	}
	if _, _, err := declare("stock", owner); mesh.KindOf(err) != mesh.KindInvalid || !strings.Contains(err.Error(), "5432") {
		t.Errorf("two callees on one port: %v", err)
	}

	back := func(w registry.Write, to int64) error {
		w.To = to
		_, err := edits.RollBack(ctx, store, view, "web", w)
		return err
	}
	for _, w := range []registry.Write{other, reader} {
		if err := back(w, first.Meta.Revision); mesh.KindOf(err) != mesh.KindDenied {
			t.Errorf("%v rolls back: %v", w.By, err)
		}
	}
	if err := back(owner, 1); mesh.KindOf(err) != mesh.KindNotFound {
		t.Errorf("to what never was: %v", err)
	}
	if err := back(owner, first.Meta.Revision); err != nil {
		t.Fatal(err)
	}
	put("gone", 5432)
	if err := back(owner, stored.Meta.Revision); err != nil {
		t.Error(err)
	}
	if got := audited(ctx, t, store); got != "rollback rollback replace create" {
		t.Errorf("the audit of web: %s", got)
	}
}

func audited(ctx context.Context, t *testing.T, store *registry.Store) string {
	entries, err := store.Audit(ctx, registry.AuditQuery{Object: "service/web", Outcome: mesh.AuditDone})
	if err != nil {
		t.Fatal(err)
	}
	var actions []string
	for _, one := range entries {
		actions = append(actions, one.Action)
	}
	return strings.Join(actions, " ")
}
