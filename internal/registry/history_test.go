package registry_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// told says in short what a history is.
func told[T any](states []registry.Past[T]) []string {
	var out []string
	for _, one := range states {
		text := one.Action + " " + one.Author
		if len(one.Changed) > 0 && one.Action != "create" && one.Action != "delete" {
			text += " " + strings.Join(one.Changed, ",")
		}
		for word, is := range map[string]bool{" present": one.Present, " missing": one.Missing != "", " deleted": one.Deleted} {
			if is {
				text += word
			}
		}
		out = append(out, strings.TrimSpace(text))
	}
	return out
}

func wantHistory[T any](t *testing.T, got []registry.Past[T], want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, told(got)); diff != "" {
		t.Errorf("the history (-want +got):\n%s", diff)
	}
}

func TestEveryWriteIsInTheHistory(t *testing.T) {
	t.Parallel()
	s, ctx := openStore(t), t.Context()
	_, err := s.ServiceHistory(ctx, "orders")
	wantKind(t, err, mesh.KindNotFound)
	first := service("orders")
	first.Description = "bücher \u2028 <&> 🦆"
	created := must[mesh.Service](t)(s.PutService(ctx, first, registry.Write{Author: "ada"}))
	second := service("orders", "web")
	second.Port = 8080
	changed := must[mesh.Service](t)(s.PutService(ctx, second, registry.Write{Author: "bob", RequestID: "r1"}))
	must[mesh.Service](t)(s.PutService(ctx, second, registry.Write{Author: "bob", RequestID: "r1"})) // repeated: not written
	_, err = s.PutService(ctx, first, registry.Write{Author: "eve", Revision: created.Meta.Revision})
	wantKind(t, err, mesh.KindConflict)
	if err := s.DeleteService(ctx, "orders", registry.Write{Author: "cid"}); err != nil {
		t.Fatal(err)
	}
	states := must[[]registry.Past[mesh.Service]](t)(s.ServiceHistory(ctx, "orders"))
	wantHistory(t, states, "delete cid deleted", "replace bob dependencies,description,port", "create ada")
	if diff := cmp.Diff(changed, *states[1].Object); diff != "" {
		t.Errorf("the second state (-written +kept):\n%s", diff)
	}
	if diff := cmp.Diff(created, *states[2].Object); diff != "" {
		t.Errorf("the first state (-written +kept):\n%s", diff)
	}
	must[mesh.Service](t)(s.PutService(ctx, *states[2].Object, registry.Write{Author: "dan", Action: "rollback", To: states[2].Revision}))
	again := must[[]registry.Past[mesh.Service]](t)(s.ServiceHistory(ctx, "orders"))
	wantHistory(t, again, "rollback dan "+strings.Join(again[0].Changed, ",")+" present", "delete cid deleted", "replace bob dependencies,description,port", "create ada")
	if again[0].To != created.Meta.Revision || again[0].Object.Description != first.Description {
		t.Errorf("rolled back: %+v", again[0])
	}
	entries := must[[]mesh.AuditEntry](t)(s.Audit(ctx, registry.AuditQuery{Object: "service/orders", Limit: 1}))
	if e := entries[0]; e.Action != "rollback" || e.To != created.Meta.Revision {
		t.Errorf("the audit has %+v", e)
	}

	route := mesh.Route{Name: "orders", Owner: "team-a", Hosts: []string{"shop.example.com"}, Redirect: &mesh.Redirect{Host: "www.example.com"}}
	must[mesh.Route](t)(s.PutRoute(ctx, route, registry.Write{Author: "ada"}))
	if err := s.DeleteRoute(ctx, "orders", registry.Write{Author: "ada"}); err != nil {
		t.Fatal(err)
	}
	wantHistory(t, must[[]registry.Past[mesh.Route]](t)(s.RouteHistory(ctx, "orders")), "delete ada deleted", "create ada")
	wantHistory(t, must[[]registry.Past[mesh.Runtime]](t)(s.RuntimeHistory(ctx)))
	must[mesh.Runtime](t)(s.PutRuntime(ctx, mesh.Runtime{Values: map[string]any{"a": 1.0}}, registry.Write{Author: "ada"}))
	wantHistory(t, must[[]registry.Past[mesh.Runtime]](t)(s.RuntimeHistory(ctx)), "create ada present")
}

// TestTwentyWritersLeaveAWholeHistory in the order of their revisions.
func TestTwentyWritersLeaveAWholeHistory(t *testing.T) {
	t.Parallel()
	s, ctx := openStore(t), t.Context()
	const writers, each = 20, 2
	ports := make(chan [2]int64, writers*each) // revision and port
	var group errgroup.Group
	for w := range writers {
		group.Go(func() error {
			for i := range each {
				one := service("orders")
				one.Port = mesh.Port(1 + w*each + i)
				for {
					stored, err := s.PutService(ctx, one, registry.Write{})
					if mesh.KindOf(err) == mesh.KindConflict { // overtaken again and again
						continue
					}
					if err != nil {
						return err
					}
					ports <- [2]int64{stored.Meta.Revision, int64(one.Port)}
					break
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	close(ports)
	written := map[int64]int64{}
	for one := range ports {
		written[one[0]] = one[1]
	}
	states := must[[]registry.Past[mesh.Service]](t)(s.ServiceHistory(ctx, "orders"))
	if len(states) != writers*each || len(written) != len(states) {
		t.Fatalf("%d states of %d writes", len(states), len(written))
	}
	for i, one := range states {
		if i > 0 && one.Revision >= states[i-1].Revision {
			t.Errorf("revision %d stands behind %d", one.Revision, states[i-1].Revision)
		}
		if int64(one.Object.Port) != written[one.Revision] {
			t.Errorf("revision %d has port %d, and was written with %d", one.Revision, one.Object.Port, written[one.Revision])
		}
		if (one.Action == "create") != (i == len(states)-1) || one.Present != (i == 0) {
			t.Errorf("state %d: %+v", i, one)
		}
	}
}

// TestAWriteThatBrokeOffIsWhollyThereOrNot: whatever became of writes whose callers
// gave up, the object and its history say the same.
func TestAWriteThatBrokeOffIsWhollyThereOrNot(t *testing.T) {
	t.Parallel()
	s, ctx := openStore(t), t.Context()
	must[mesh.Service](t)(s.PutService(ctx, service("orders"), registry.Write{}))
	gaveUp := 0
	for i := range 40 {
		one := service("orders")
		one.Port = mesh.Port(1 + i)
		hurried, cancel := context.WithTimeout(ctx, time.Duration(rand.IntN(4000))*time.Microsecond)
		_, err := s.PutService(hurried, one, registry.Write{})
		cancel()
		if err != nil {
			gaveUp++
		}
		// Object and history are read at once: what was given up may still be done.
		states := must[[]registry.Past[mesh.Service]](t)(s.ServiceHistory(ctx, "orders"))
		if now := states[0]; !now.Present || now.Action == "" || err == nil && now.Object.Port != one.Port {
			t.Fatalf("%v: the newest state is %+v, of port %d", err, now, now.Object.Port)
		}
	}
	t.Logf("%d of 40 gave up", gaveUp)
}

func TestTheHistoryIsBounded(t *testing.T) {
	t.Parallel()
	etcd, s := startEtcd(t, t.TempDir())
	ctx := t.Context()
	for i := range registry.MostKept + 5 {
		one := service("orders")
		one.Port = mesh.Port(1 + i)
		must[mesh.Service](t)(s.PutService(ctx, one, registry.Write{}))
	}
	states := must[[]registry.Past[mesh.Service]](t)(s.ServiceHistory(ctx, "orders"))
	if len(states) != registry.MostKept || states[0].Object.Port != registry.MostKept+5 || states[registry.MostKept-1].Object.Port != 6 {
		t.Errorf("%d states, from port %d on", len(states), states[len(states)-1].Object.Port)
	}
	// What is older than the bound goes, and the newest of that stays.
	client := raw(t, etcd)
	const web = "/heddle/v1/history/services/web/"
	must[mesh.Service](t)(s.PutService(ctx, service("web"), registry.Write{Author: "new"}))
	for i := range 3 {
		at := time.Now().Add(-registry.HistoryKept - time.Hour).Unix()
		put(t, client, fmt.Sprintf("%s%016x-1-%x", web, i+1, at), fmt.Sprintf(`{"revision":%d,"action":"replace","author":"old-%d"}`, i+1, i))
	}
	must[mesh.Service](t)(s.PutService(ctx, service("web"), registry.Write{Author: "newer"}))
	wantHistory(t, must[[]registry.Past[mesh.Service]](t)(s.ServiceHistory(ctx, "web")), "replace newer present", "create new", "replace old-2 missing")
}

func put(t *testing.T, client *clientv3.Client, key, value string) {
	t.Helper()
	if _, err := client.Put(t.Context(), key, value); err != nil {
		t.Fatal(err)
	}
}

// TestTheHistoryOfWhatIsGoneIsSwept once it is long ago.
func TestTheHistoryOfWhatIsGoneIsSwept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	etcd, s := startEtcd(t, dir)
	client, ctx := raw(t, etcd), t.Context()
	old := time.Now().Add(-registry.HistoryKept - time.Hour).Unix()
	key := func(name string, read, kind int, at int64) string {
		return fmt.Sprintf("/heddle/v1/history/services/%s/%016x-%d-%x", name, read, kind, at)
	}
	for _, one := range []string{
		key("gone", 1, 1, old), key("gone", 2, 2, old), // deleted long ago
		key("fresh", 1, 1, old), key("fresh", 2, 2, time.Now().Unix()), // deleted just now
		key("live", 1, 1, old), key("live", 2, 1, old), key("live", 3, 1, old), // not written for long
		"/heddle/v1/history/services/odd/what-is-this",
	} {
		put(t, client, one, `{"author":"x"}`)
	}
	must[mesh.Service](t)(s.PutService(ctx, service("any"), registry.Write{})) // a server's first write looks
	var left map[string]int                                                    // what is old is swept behind the write
	eventually(t, func() bool {
		left = map[string]int{}
		got := must[*clientv3.GetResponse](t)(client.Get(ctx, "/heddle/v1/history/", clientv3.WithPrefix(), clientv3.WithKeysOnly()))
		for _, kv := range got.Kvs {
			left[strings.Split(string(kv.Key), "/")[5]]++
		}
		return cmp.Equal(map[string]int{"fresh": 2, "live": 1, "odd": 1, "any": 1}, left)
	}, func() string { return fmt.Sprint(left) })
}

// TestWhatAnOlderHeddleWroteIsKeptWithTheNextWrite holds that an upgrade loses
// nothing more: what was there is kept once, and the writes of older servers
// that were overwritten by them are not.
func TestWhatAnOlderHeddleWroteIsKeptWithTheNextWrite(t *testing.T) {
	t.Parallel()
	etcd, s := startEtcd(t, t.TempDir())
	client, ctx := raw(t, etcd), t.Context()
	const key = "/heddle/v1/services/orders"
	older := func(port int, author string) {
		put(t, client, key, fmt.Sprintf(`{"name":"orders","owner":"team-a","protocol":"http","port":%d,"dependencies":[],"meta":{"author":%q,"updatedAt":"2026-01-02T03:04:05Z"}}`, port, author))
	}
	older(1, "old")
	wantHistory(t, must[[]registry.Past[mesh.Service]](t)(s.ServiceHistory(ctx, "orders")), "old present")
	must[mesh.Service](t)(s.PutService(ctx, service("orders"), registry.Write{Author: "new"}))
	states := must[[]registry.Past[mesh.Service]](t)(s.ServiceHistory(ctx, "orders"))
	wantHistory(t, states, "replace new port present", "old")
	if states[1].Object.Port != 1 || states[1].Time.Year() != 2026 {
		t.Errorf("kept of before: %+v", states[1])
	}
	older(2, "old")
	older(3, "old")
	must[mesh.Service](t)(s.PutService(ctx, service("orders"), registry.Write{Author: "new"}))
	states = must[[]registry.Past[mesh.Service]](t)(s.ServiceHistory(ctx, "orders"))
	wantHistory(t, states, "replace new port present", "old", "replace new port", "old")
	_, err := registry.RollbackTo(states, "service orders", states[1].Revision-1) // port 2
	wantKind(t, err, mesh.KindNotFound)
	if !strings.Contains(err.Error(), "an older server, which keeps none, may have written it") {
		t.Errorf("%v", err)
	}
	// Deleted, what was there is kept too.
	older(4, "old")
	if err := s.DeleteService(ctx, "orders", registry.Write{Author: "new"}); err != nil {
		t.Fatal(err)
	}
	states = must[[]registry.Past[mesh.Service]](t)(s.ServiceHistory(ctx, "orders"))
	if got := told(states)[:2]; got[0] != "delete new deleted" || got[1] != "old" || states[1].Object.Port != 4 {
		t.Errorf("after the deletion: %v", got)
	}
}

// TestWhatCannotBeReadIsInNobodysWay neither as the object nor in its history.
func TestWhatCannotBeReadIsInNobodysWay(t *testing.T) {
	t.Parallel()
	etcd, s := startEtcd(t, t.TempDir())
	client, ctx := raw(t, etcd), t.Context()
	put(t, client, "/heddle/v1/services/orders", "{not json")
	must[mesh.Service](t)(s.PutService(ctx, service("orders"), registry.Write{Author: "ada"}))
	put(t, client, "/heddle/v1/history/services/orders/what-is-this", "{not json")
	// Keys from an etcd with more revisions sort behind all that is written now.
	put(t, client, fmt.Sprintf("/heddle/v1/history/services/orders/%016x-1-%x", 1<<50, time.Now().Unix()), `{"revision":7,"object":{"name":"web"}}`)
	put(t, client, fmt.Sprintf("/heddle/v1/history/services/orders/%016x-1-%x", 1<<50+1, time.Now().Unix()), `{"revision":8,"packed":"bm8="}`)
	for range registry.MostKept + 3 {
		must[mesh.Service](t)(s.PutService(ctx, service("orders"), registry.Write{Author: "ada"}))
	}
	states := must[[]registry.Past[mesh.Service]](t)(s.ServiceHistory(ctx, "orders"))
	for _, one := range states {
		if one.Object == nil && one.Missing == "" && !one.Deleted {
			t.Errorf("neither there nor missing: %+v", one)
		}
	}
	if len(states) > registry.MostKept+1 {
		t.Errorf("%d states", len(states))
	}
}

// TestHugeObjectsAreWrittenAsBefore holds that the history takes nothing away from
// what etcd takes at once: what there is no room for is not kept, and told.
func TestHugeObjectsAreWrittenAsBefore(t *testing.T) {
	t.Parallel()
	s, ctx := openStore(t), t.Context()
	huge := func(random bool, callers, long int) mesh.Service {
		one := service("orders")
		one.Access.Callers = mesh.ApprovedCallers
		for i := range callers {
			name := fmt.Sprintf("caller-%06d-%s", i, strings.Repeat("x", long-14))
			if random {
				letters := make([]byte, long)
				for k := range letters {
					letters[k] = "abcdefghijklmnopqrstuvwxyz0123456789"[rand.IntN(36)]
				}
				name = string(letters)
			}
			one.Access.Approved = append(one.Access.Approved, name)
		}
		return one
	}
	for name, test := range map[string]struct {
		object  mesh.Service
		request string
		kept    bool
	}{
		"plain":                     {object: huge(true, 10, 60), kept: true},
		"packed":                    {object: huge(false, 9000, 63), kept: true},
		"packed, kept for a repeat": {object: huge(false, 9000, 63), request: "r1", kept: true},
		"cannot be packed":          {object: huge(true, 10000, 63)},
	} {
		t.Run(name, func(t *testing.T) {
			stored := must[mesh.Service](t)(s.PutService(ctx, test.object, registry.Write{RequestID: test.request}))
			states := must[[]registry.Past[mesh.Service]](t)(s.ServiceHistory(ctx, "orders"))
			one := states[0]
			if kept := one.Object != nil; kept != test.kept || one.Revision != stored.Meta.Revision {
				t.Fatalf("%+v", one)
			}
			if !test.kept {
				if !strings.Contains(one.Missing, "too large to be kept") {
					t.Errorf("missing: %s", one.Missing)
				}
				return
			}
			if diff := cmp.Diff(stored, *one.Object); diff != "" {
				t.Errorf("(-written +kept):\n%s", diff)
			}
		})
	}
}
