package registry_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

func wantDependents(t *testing.T, err error, want ...string) {
	t.Helper()
	var refused *mesh.Error
	if !errors.As(err, &refused) || refused.Kind != mesh.KindConflict || refused.Reason != mesh.ReasonDependents {
		t.Fatalf("got %v, want a conflict with dependents", err)
	}
	var got []string
	for _, fault := range refused.Faults {
		got = append(got, fault.Path)
	}
	if !slices.Equal(got, want) {
		t.Errorf("refused because of %v, want %v", got, want)
	}
}

func TestAServiceThatOthersDependOnStays(t *testing.T) {
	t.Parallel()
	s, ctx := openStore(t), t.Context()
	must[mesh.Service](t)(s.PutService(ctx, service("orders", "orders"), registry.Write{}))
	must[mesh.Service](t)(s.PutService(ctx, service("web", "orders"), registry.Write{}))
	must[mesh.Service](t)(s.PutService(ctx, service("orders-2"), registry.Write{})) // a longer name, and a description that has the name
	other := service("other")
	other.Description = `not "orders"`
	must[mesh.Service](t)(s.PutService(ctx, other, registry.Write{}))
	route := mesh.Route{Name: "shop", Owner: "team-a", Hosts: []string{"shop.example.com"}, Backends: []mesh.WeightedBackend{{Service: "web", Weight: 1}}, Mirror: &mesh.RouteMirror{Service: "orders"}}
	must[mesh.Route](t)(s.PutRoute(ctx, route, registry.Write{}))

	wantDependents(t, s.DeleteService(ctx, "orders", registry.Write{}), "service/web", "route/shop")
	wantDependents(t, s.DeleteService(ctx, "web", registry.Write{}), "route/shop")
	wantKind(t, s.DeleteService(ctx, "gone", registry.Write{}), mesh.KindNotFound)
	stale := s.DeleteService(ctx, "orders", registry.Write{Revision: 1})
	if mesh.ReasonOf(stale) != mesh.ReasonStale {
		t.Errorf("a stale deletion: %v", stale)
	}
	wantKind(t, s.DeleteService(ctx, "orders", registry.Write{Force: true, By: registry.Token{Owners: []string{"somebody"}}}), mesh.KindDenied)

	if err := s.DeleteService(ctx, "orders", registry.Write{Author: "ada", Force: true}); err != nil {
		t.Fatal(err)
	}
	entries := must[[]mesh.AuditEntry](t)(s.Audit(ctx, registry.AuditQuery{Object: "service/orders", Limit: 1}))
	if e := entries[0]; e.Action != "force-delete" || e.Author != "ada" || fmt.Sprint(e.Dependents) != "[service/web route/shop]" {
		t.Errorf("the audit has %+v", e)
	}
	if err := s.DeleteRoute(ctx, "shop", registry.Write{}); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteService(ctx, "web", registry.Write{Force: true}); err != nil {
		t.Fatal(err)
	}
	entries = must[[]mesh.AuditEntry](t)(s.Audit(ctx, registry.AuditQuery{Object: "service/web", Limit: 1}))
	if e := entries[0]; e.Action != "delete" || len(e.Dependents) > 0 {
		t.Errorf("forced although nobody depended on it, the audit has %+v", e)
	}
}

// TestWhatTheCallerKnowsIsLookedAtAgain holds that a view that lags behind neither
// lets a deletion through nor refuses one.
func TestWhatTheCallerKnowsIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	s, ctx := openStore(t), t.Context()
	must[mesh.Service](t)(s.PutService(ctx, service("orders"), registry.Write{}))
	_, revision, err := s.Services(ctx)
	if err != nil {
		t.Fatal(err)
	}
	nobody := &mesh.Dependents{Revision: revision}
	must[mesh.Service](t)(s.PutService(ctx, service("web", "orders"), registry.Write{}))
	wantDependents(t, s.DeleteService(ctx, "orders", registry.Write{Known: nobody}), "service/web")
	somebody := &mesh.Dependents{Services: []mesh.ServiceName{"web"}, Revision: revision + 1}
	if err := s.DeleteService(ctx, "web", registry.Write{}); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteService(ctx, "orders", registry.Write{Known: somebody}); err != nil {
		t.Errorf("its only caller is gone: %v", err)
	}
	must[mesh.Service](t)(s.PutService(ctx, service("orders"), registry.Write{}))
	_, revision, err = s.Services(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteService(ctx, "orders", registry.Write{Known: &mesh.Dependents{Revision: revision}}); err != nil {
		t.Errorf("nobody calls it, as was known: %v", err)
	}
}

// TestADependentDeclaredMeanwhileIsNotMissed has many declare a service while it is
// deleted: never is a deletion done that should have been refused.
func TestADependentDeclaredMeanwhileIsNotMissed(t *testing.T) {
	t.Parallel()
	s, ctx := openStore(t), t.Context()
	for round := range 30 {
		callee := mesh.ServiceName(fmt.Sprint("callee-", round))
		must[mesh.Service](t)(s.PutService(ctx, service(string(callee)), registry.Write{}))
		_, revision, err := s.Services(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var declared mesh.Service
		var deleted error
		var both errgroup.Group
		both.Go(func() (err error) {
			declared, err = s.PutService(ctx, service(fmt.Sprint("caller-", round), callee), registry.Write{})
			return err
		})
		both.Go(func() error {
			deleted = s.DeleteService(ctx, callee, registry.Write{Known: &mesh.Dependents{Revision: revision}})
			return nil
		})
		if err := both.Wait(); err != nil {
			t.Fatal(err)
		}
		if deleted != nil {
			wantDependents(t, deleted, "service/"+string(declared.Name))
			continue
		}
		entries := must[[]mesh.AuditEntry](t)(s.Audit(ctx, registry.AuditQuery{Object: "service/" + string(callee), Limit: 1}))
		if entries[0].Revision > declared.Meta.Revision {
			t.Fatalf("deleted at revision %d, after %s had declared it at %d", entries[0].Revision, declared.Name, declared.Meta.Revision)
		}
	}
}

func TestManyDependentsAreCutInTheAudit(t *testing.T) {
	t.Parallel()
	s, ctx := openStore(t), t.Context()
	must[mesh.Service](t)(s.PutService(ctx, service("orders"), registry.Write{}))
	var writers errgroup.Group
	for i := range 130 {
		writers.Go(func() error {
			_, err := s.PutService(ctx, service(fmt.Sprintf("caller-%03d", i), "orders"), registry.Write{})
			return err
		})
	}
	if err := writers.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteService(ctx, "orders", registry.Write{Force: true}); err != nil {
		t.Fatal(err)
	}
	entries := must[[]mesh.AuditEntry](t)(s.Audit(ctx, registry.AuditQuery{Object: "service/orders", Limit: 1}))
	if got := entries[0].Dependents; len(got) != 101 || got[0] != "service/caller-000" || got[100] != "and 30 more" {
		t.Errorf("the audit has %d: %s", len(got), strings.Join(got, " "))
	}
}

// TestARepeatedDeletionIsAnsweredAsTheFirstTime although a service of that name is
// there again, and depended on.
func TestARepeatedDeletionIsAnsweredAsTheFirstTime(t *testing.T) {
	t.Parallel()
	s, ctx := openStore(t), t.Context()
	must[mesh.Service](t)(s.PutService(ctx, service("orders"), registry.Write{}))
	w := registry.Write{Author: "ada", RequestID: "r1"}
	if err := s.DeleteService(ctx, "orders", w); err != nil {
		t.Fatal(err)
	}
	must[mesh.Service](t)(s.PutService(ctx, service("orders"), registry.Write{}))
	must[mesh.Service](t)(s.PutService(ctx, service("web", "orders"), registry.Write{}))
	if err := s.DeleteService(ctx, "orders", w); err != nil {
		t.Errorf("repeated: %v", err)
	}
	if _, err := s.Service(ctx, "orders"); err != nil {
		t.Errorf("the repetition deleted it: %v", err)
	}
}
