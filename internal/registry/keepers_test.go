package registry_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

const (
	shopWeb  = mesh.Keeper("kubernetes/prod/shop/web")
	otherWeb = mesh.Keeper("kubernetes/prod/other/web")
)

func TestWhatIsKeptIsItsKeepersAlone(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	ctx := t.Context()
	web := service("web")
	stored := must[mesh.Service](t)(s.PutService(ctx, web, registry.Write{Keeper: shopWeb, Source: "kubernetes"}))
	if stored.Meta.Keeper != shopWeb || stored.Meta.Source != "kubernetes" {
		t.Fatalf("%+v", stored.Meta)
	}
	for what, c := range map[string]struct {
		try    func() error
		reason mesh.Reason
		says   string
	}{
		"a write":                  {func() error { _, err := s.PutService(ctx, web, registry.Write{}); return err }, mesh.ReasonKept, "as web in namespace shop of Kubernetes cluster prod"},
		"a deletion":               {func() error { return s.DeleteService(ctx, "web", registry.Write{}) }, mesh.ReasonKept, "heddle release service web"},
		"another keeper":           {func() error { _, err := s.PutService(ctx, web, registry.Write{Keeper: otherWeb}); return err }, mesh.ReasonTaken, string(shopWeb)},
		"another keeper's removal": {func() error { return s.DeleteService(ctx, "web", registry.Write{Keeper: otherWeb}) }, mesh.ReasonTaken, string(shopWeb)},
		"an edit": {func() error {
			_, err := s.EditService(ctx, "web", registry.Write{}, func(*mesh.Service) (bool, error) { return true, nil })
			return err
		}, mesh.ReasonKept, string(shopWeb)},
		"creating": {func() error { _, err := s.PutService(ctx, web, registry.Write{Create: true}); return err }, mesh.ReasonKept, string(shopWeb)},
	} {
		if err := c.try(); mesh.KindOf(err) != mesh.KindConflict || mesh.ReasonOf(err) != c.reason || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", what, err)
		}
	}
	web.Port = 81
	if again := must[mesh.Service](t)(s.PutService(ctx, web, registry.Write{Keeper: shopWeb})); again.Port != 81 {
		t.Errorf("%+v", again)
	}
	if err := s.DeleteService(ctx, "web", registry.Write{Keeper: shopWeb}); err != nil {
		t.Fatal(err)
	}

	must[mesh.Service](t)(s.PutService(ctx, web, registry.Write{}))
	if _, err := s.PutService(ctx, web, registry.Write{Keeper: shopWeb}); mesh.ReasonOf(err) != mesh.ReasonTaken || !strings.Contains(err.Error(), "--to "+string(shopWeb)) {
		t.Errorf("what nobody keeps was taken over: %v", err)
	}
	route := mesh.Route{Name: "web", Owner: "a", Hosts: []string{"web.example.com"}, Backends: []mesh.WeightedBackend{{Service: "web", Weight: 1}}}
	must[mesh.Route](t)(s.PutRoute(ctx, route, registry.Write{Keeper: shopWeb}))
	if err := s.DeleteRoute(ctx, "web", registry.Write{}); mesh.ReasonOf(err) != mesh.ReasonKept {
		t.Error(err)
	}
	for _, keeper := range []mesh.Keeper{"kubernetes/prod", "kubernetes", "nomad/prod/shop/web", "kubernetes/prod/shop/web/x", "kubernetes/prod//web", "kubernetes/prod/shop/Web"} {
		if _, err := s.PutRoute(ctx, route, registry.Write{Keeper: keeper}); mesh.KindOf(err) != mesh.KindInvalid {
			t.Errorf("%s: %v", keeper, err)
		}
	}
	if _, err := s.PutRuntime(ctx, mesh.Runtime{Values: map[string]any{}}, registry.Write{Keeper: shopWeb}); mesh.KindOf(err) != mesh.KindInvalid {
		t.Errorf("the runtime layer is nobody's: %v", err)
	}
}

// Of two sources that want one name at the same moment, one gets it.
func TestOneKeeperGetsTheName(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	ctx := t.Context()
	for range 20 {
		keepers := []mesh.Keeper{shopWeb, otherWeb, ""}
		errs := make([]error, len(keepers))
		var group sync.WaitGroup
		for i, keeper := range keepers {
			group.Go(func() { _, errs[i] = s.PutService(ctx, service("web"), registry.Write{Keeper: keeper}) })
		}
		group.Wait()
		got := 0
		for i, err := range errs {
			if err == nil {
				got++
			} else if reason := mesh.ReasonOf(err); reason != mesh.ReasonTaken && reason != mesh.ReasonKept {
				t.Errorf("%s: %v", keepers[i], err)
			}
		}
		if got != 1 {
			t.Fatalf("%d of them have it: %v", got, errors.Join(errs...))
		}
		now := must[mesh.Service](t)(s.Service(ctx, "web"))
		if err := s.DeleteService(ctx, "web", registry.Write{Keeper: now.Meta.Keeper}); err != nil {
			t.Fatal(err)
		}
	}
}

// What a cluster's users say does not have gateways call themselves; an admin may.
func TestKeepersHaveNoEndpointsOnTheProxysOwnHost(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	ctx := t.Context()
	web := service("web")
	web.Dependencies = []mesh.ServiceName{}
	web.Endpoints.Static = []mesh.StaticEndpoint{{Address: "::ffff:127.0.0.1", Port: 15000}}
	_, err := s.PutService(ctx, web, registry.Write{Keeper: shopWeb})
	if mesh.KindOf(err) != mesh.KindInvalid || !strings.Contains(err.Error(), "endpoints.static[0].address") {
		t.Errorf("a keeper's service: %v", err)
	}
	must[mesh.Service](t)(s.PutService(ctx, web, registry.Write{}))
	_, err = s.KeepInstances(ctx, "web", []mesh.Instance{{ID: "a", Address: "169.254.169.254", Port: 80}}, registry.Write{Keeper: prod})
	if mesh.KindOf(err) != mesh.KindInvalid || !strings.Contains(err.Error(), "instances[0].address") {
		t.Errorf("a keeper's instances: %v", err)
	}
}

// Whom a deletion would hurt is of no account where nobody but the keeper may delete.
func TestForceIsNotSaidToHelpAgainstAKeeper(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	ctx := t.Context()
	kept := service("kept-and-called")
	must[mesh.Service](t)(s.PutService(ctx, kept, registry.Write{Keeper: "kubernetes/prod/shop/kept-and-called"}))
	caller := service("its-caller")
	caller.Dependencies = []mesh.ServiceName{kept.Name}
	must[mesh.Service](t)(s.PutService(ctx, caller, registry.Write{}))
	for _, force := range []bool{false, true} {
		err := s.DeleteService(ctx, kept.Name, registry.Write{Force: force})
		if mesh.ReasonOf(err) != mesh.ReasonKept || !strings.Contains(err.Error(), "heddle release service kept-and-called") || strings.Contains(err.Error(), "force") {
			t.Errorf("forced %t: %v", force, err)
		}
	}
	err := s.DeleteService(ctx, kept.Name, registry.Write{Keeper: "kubernetes/prod/shop/kept-and-called"})
	if mesh.ReasonOf(err) != mesh.ReasonDependents {
		t.Errorf("by the keeper: %v", err)
	}
}
