package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

func instance(service mesh.ServiceName, id mesh.InstanceID) mesh.Instance {
	return mesh.Instance{Service: service, ID: id, Address: "10.0.0.1", Port: 8080, Labels: map[string]string{"version": "v1"}}
}

func TestLifeOfAnInstance(t *testing.T) {
	w := newWorld(t)
	c := w.client(w.admin)
	ctx := t.Context()
	registered, err := c.Register(ctx, []mesh.Instance{instance("orders", "o-1")}, 5*time.Second)
	if err != nil || len(registered) != 1 || registered[0].Epoch == "" || registered[0].Meta.Source != "rest" {
		t.Fatalf("%+v, %v", registered, err)
	}
	key, epoch := registered[0].Key(), registered[0].Epoch
	if ttl, err := c.Renew(ctx, key, epoch); err != nil || ttl != 5*time.Second {
		t.Errorf("renewed for %v, %v", ttl, err)
	}
	drained, err := c.SetHealth(ctx, key, epoch, mesh.Draining)
	if err != nil || drained.Health != mesh.Draining || drained.Epoch != epoch {
		t.Errorf("drained %+v, %v", drained, err)
	}
	if back, err := c.SetHealth(ctx, key, "", mesh.Healthy); err != nil || back.Health != mesh.Healthy {
		t.Errorf("back %+v, %v", back, err)
	}
	again, err := c.Register(ctx, []mesh.Instance{instance("orders", "o-1")}, 0)
	if err != nil || again[0].Epoch == epoch {
		t.Fatalf("%+v, %v", again, err)
	}
	for what, err := range map[string]error{
		"renew":      func() error { _, err := c.Renew(ctx, key, epoch); return err }(),
		"drain":      func() error { _, err := c.SetHealth(ctx, key, epoch, mesh.Draining); return err }(),
		"deregister": c.Deregister(ctx, key, epoch),
	} {
		if mesh.KindOf(err) != mesh.KindConflict {
			t.Errorf("%s by the former registration: %v", what, err)
		}
	}
	if list, err := c.Instances(ctx, "orders"); err != nil || len(list) != 1 || list[0].Epoch != again[0].Epoch {
		t.Errorf("%+v, %v", list, err)
	}
	if err := c.Deregister(ctx, key, ""); err != nil {
		t.Error(err)
	}
	if _, err := c.Renew(ctx, key, again[0].Epoch); mesh.KindOf(err) != mesh.KindNotFound {
		t.Errorf("renewed after it was removed: %v", err)
	}
	if list, err := c.Instances(ctx, ""); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestOneInstanceByItself(t *testing.T) {
	w := newWorld(t)
	got := w.write("POST", "/api/v1/instances", `{"service":"orders","id":"o-1","address":"10.0.0.7","port":8080,"ttl":"30s"}`)
	if got.status != 201 || !strings.Contains(got.body, `"ttl":"30s"`) || !strings.Contains(got.body, `"epoch":"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := w.call("GET", "/api/v1/services/orders/instances", ""); !strings.Contains(got.body, `"id":"o-1"`) {
		t.Errorf("%s", got.body)
	}
}

func TestABatchIsRegisteredAsAWholeOrNotAtAll(t *testing.T) {
	w := newWorld(t)
	c := w.client(w.admin)
	ctx := t.Context()
	var batch []mesh.Instance
	for i := range 40 {
		batch = append(batch, instance("orders", mesh.InstanceID(fmt.Sprintf("o-%02d", i))))
	}
	batch[17].Port = 70000
	batch[30].Address = "nowhere"
	_, err := c.Register(ctx, batch, 0)
	if mesh.KindOf(err) != mesh.KindInvalid || !strings.Contains(err.Error(), "instances[17].port") || !strings.Contains(err.Error(), "instances[30].address") {
		t.Errorf("got %v", err)
	}
	if list, err := c.Instances(ctx, ""); err != nil || len(list) != 0 {
		t.Errorf("%d are there, %v", len(list), err)
	}
	batch[17].Port, batch[30].Address = 80, "10.0.0.2"
	if out, err := c.Register(ctx, batch, 0); err != nil || len(out) != 40 || out[17].ID != "o-17" {
		t.Errorf("%d, %v", len(out), err)
	}
	list, err := c.Instances(ctx, "orders")
	if err != nil || len(list) != 40 || list[0].Meta.Revision != list[39].Meta.Revision {
		t.Errorf("%d are there, at different revisions; %v", len(list), err)
	}
}

func TestStaleInstancesAreListed(t *testing.T) {
	w := newWorld(t)
	gone := instance("orders", "o-9")
	w.catalog.Apply(w.catalog.View().Revision(), true, []mesh.Change{{Instance: &gone}})
	w.catalog.Apply(w.catalog.View().Revision(), true, []mesh.Change{{Instance: &gone, Deleted: true}}) // the only one: kept
	if got := w.call("GET", "/api/v1/services/orders/instances", ""); !strings.Contains(got.body, `"stale":true`) {
		t.Errorf("%s", got.body)
	}
	if got := w.call("GET", "/api/v1/instances", ""); !strings.Contains(got.body, `"stale":true`) {
		t.Errorf("%s", got.body)
	}

	// The registry no longer has it, but an operator confirms that it is gone.
	c := w.client(w.admin)
	if err := c.Deregister(t.Context(), gone.Key(), "an epoch"); mesh.KindOf(err) != mesh.KindNotFound {
		t.Errorf("with an epoch: %v", err)
	}
	if err := c.Deregister(t.Context(), gone.Key(), ""); err != nil {
		t.Errorf("confirmed: %v", err)
	}
	w.eventually("the stale instance to go", func() bool { return len(w.catalog.View().Instances("orders")) == 0 })
	if err := c.Deregister(t.Context(), gone.Key(), ""); mesh.KindOf(err) != mesh.KindNotFound {
		t.Errorf("confirmed twice: %v", err)
	}
}

// TestAllStaleInstancesOfAServiceGoAtOnce, but none that has come back although
// this server does not know of it yet, none of another service, and none that
// never lost its lease.
func TestAllStaleInstancesOfAServiceGoAtOnce(t *testing.T) {
	w := newWorld(t)
	c := w.client(w.admin)
	const count = registry.MaxBatch + 20
	var batch []mesh.Change
	for i := range count {
		one := instance("orders", mesh.InstanceID(fmt.Sprintf("o-%03d", i)))
		batch = append(batch, mesh.Change{Instance: &one})
	}
	other := instance("web", "w-1")
	batch = append(batch, mesh.Change{Instance: &other})
	w.catalog.Apply(w.catalog.View().Revision(), true, batch)
	for i := range batch {
		if i != 7 {
			w.catalog.Apply(w.catalog.View().Revision(), true, []mesh.Change{{Instance: batch[i].Instance, Deleted: true}})
		}
	}
	if _, err := w.store.Register(t.Context(), []mesh.Instance{instance("orders", "o-003")}, time.Minute, registry.Write{}); err != nil {
		t.Fatal(err)
	}
	// The catalog may have seen that, or not: it makes no difference here.
	gone, err := c.DeregisterStale(t.Context(), "orders")
	if err != nil || len(gone) != count-2 || gone[0].ID != "o-000" || !gone[0].Stale {
		t.Fatalf("%d are gone, %v", len(gone), err)
	}
	left := func(service mesh.ServiceName) (ids []mesh.InstanceID) {
		for _, one := range w.catalog.View().Instances(service) {
			ids = append(ids, one.ID)
		}
		return ids
	}
	w.eventually("only those that live to be left", func() bool { return slices.Equal(left("orders"), []mesh.InstanceID{"o-003", "o-007"}) })
	if got := left("web"); len(got) != 1 {
		t.Errorf("another service has %v", got)
	}
	if gone, err := c.DeregisterStale(t.Context(), "orders"); err != nil || len(gone) != 0 {
		t.Errorf("again: %v, %v", gone, err)
	}
	if _, err := c.DeregisterStale(t.Context(), "No Name"); mesh.KindOf(err) != mesh.KindInvalid {
		t.Errorf("no name: %v", err)
	}
}

func TestSubsetsWithoutInstancesAreProblems(t *testing.T) {
	w := newWorld(t)
	w.declare(`{"name":"orders","owner":"team","protocol":"http","port":80,"dependencies":[],
		"subsets":[{"name":"v1","labels":{"version":"1"}},{"name":"v2","labels":{"version":"2"}},{"name":"idle","labels":{"version":"3"}}],
		"routes":[{"to":[{"subset":"v1","weight":1},{"subset":"v2","weight":1},{"subset":"idle","weight":0}]}]}`)
	one := instance("orders", "o-1")
	one.Labels = map[string]string{"version": "1"}
	c := w.client(w.admin)
	if _, err := c.Register(t.Context(), []mesh.Instance{one}, 0); err != nil {
		t.Fatal(err)
	}
	w.eventually("the problem of v2 alone", func() bool {
		problems, err := c.Problems(t.Context())
		return err == nil && len(problems) == 1 && strings.Contains(problems[0].Message, `"v2"`)
	})
}

func TestARegistrationSentTwiceGivesTheSameEpoch(t *testing.T) {
	w := newWorld(t)
	c := w.client(w.admin).WithRequestID("boot-1")
	batch := []mesh.Instance{instance("orders", "o-1"), instance("orders", "o-2")}
	first, err := c.Register(t.Context(), batch, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Register(t.Context(), batch, 10*time.Second)
	if err != nil || again[0].Epoch != first[0].Epoch || again[1].Epoch != first[1].Epoch {
		t.Errorf("first %v, then %v, %v", first, again, err)
	}
	if _, err := c.Renew(t.Context(), first[0].Key(), first[0].Epoch); err != nil {
		t.Errorf("the lease did not stay: %v", err)
	}
}
