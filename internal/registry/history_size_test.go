package registry_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// TestTheHistoryOfOneObjectIsBoundedInBytes: the oldest go first, in the write that
// brings too much; what an older Heddle kept counts by what its keys let think.
func TestTheHistoryOfOneObjectIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	etcd, s := startEtcd(t, t.TempDir())
	client, ctx := raw(t, etcd), t.Context()
	const prefix = "/heddle/v1/history/services/orders/"
	put(t, client, fmt.Sprintf("%s%016x-1-%x", prefix, 1, time.Now().Unix()), `{"revision":1,"action":"create","author":"older","object":{"name":"orders","owner":"team-a","protocol":"http","port":7,"dependencies":[]}}`)
	must[mesh.Service](t)(s.PutService(ctx, service("orders"), registry.Write{Author: "ada"}))
	states := must[[]registry.Past[mesh.Service]](t)(s.ServiceHistory(ctx, "orders"))
	if len(states) != 2 || states[1].Author != "older" || states[1].Object == nil || states[1].Object.Port != 7 {
		t.Fatalf("what an older Heddle kept is read as %+v", states)
	}
	huge := service("orders")
	for range 3000 {
		text := make([]byte, 60)
		for i := range text {
			text[i] = "abcdefghijklmnopqrstuvwxyz0123456789"[rand.IntN(36)]
		}
		huge.Access.Approved = append(huge.Access.Approved, string(text))
	}
	huge.Access.Callers = mesh.ApprovedCallers
	var last mesh.Service
	for i := range 10 {
		huge.Port = mesh.Port(100 + i)
		last = must[mesh.Service](t)(s.PutService(ctx, huge, registry.Write{Author: "ada"}))
		got := must[*clientv3.GetResponse](t)(client.Get(ctx, prefix, clientv3.WithPrefix()))
		total := 0
		for _, kv := range got.Kvs {
			total += len(kv.Value)
		}
		if total > registry.MostKeptBytes {
			t.Errorf("after write %d, %d bytes are kept in %d states", i, total, len(got.Kvs))
		}
	}
	states = must[[]registry.Past[mesh.Service]](t)(s.ServiceHistory(ctx, "orders"))
	if len(states) < 2 || len(states) > 9 || states[0].Revision != last.Meta.Revision || states[0].Object == nil || states[1].Object == nil || states[1].Object.Port != 108 {
		t.Errorf("%d states are left", len(states))
	}
}

// TestWhatIsKeptIsPacked from 1 KiB on.
func TestWhatIsKeptIsPacked(t *testing.T) {
	t.Parallel()
	etcd, s := startEtcd(t, t.TempDir())
	client, ctx := raw(t, etcd), t.Context()
	one := service("orders")
	for i := range 60 {
		one.Dependencies = append(one.Dependencies, mesh.ServiceName(fmt.Sprintf("a-service-like-others-%d", i)))
	}
	must[mesh.Service](t)(s.PutService(ctx, one, registry.Write{}))
	stored := must[*clientv3.GetResponse](t)(client.Get(ctx, "/heddle/v1/services/orders"))
	kept := must[*clientv3.GetResponse](t)(client.Get(ctx, "/heddle/v1/history/services/orders/", clientv3.WithPrefix()))
	var entry struct{ Object, Packed json.RawMessage }
	if len(kept.Kvs) != 1 || json.Unmarshal(kept.Kvs[0].Value, &entry) != nil || entry.Object != nil || entry.Packed == nil || len(kept.Kvs[0].Value) > len(stored.Kvs[0].Value)*2/3 {
		t.Errorf("of %d bytes are kept %s", len(stored.Kvs[0].Value), kept.Kvs)
	}
	if !strings.Contains(string(kept.Kvs[0].Key), fmt.Sprintf("-1%d-", len(kept.Kvs[0].Value))) {
		t.Errorf("the key %s does not say how much it is: %d bytes", kept.Kvs[0].Key, len(kept.Kvs[0].Value))
	}
}

// TestAListOfStatesHasNoObjects, which nobody asked for, and says as much of them.
func TestAListOfStatesHasNoObjects(t *testing.T) {
	t.Parallel()
	s, ctx := openStore(t), t.Context()
	first := must[mesh.Service](t)(s.PutService(ctx, service("orders"), registry.Write{Author: "ada"}))
	must[mesh.Service](t)(s.PutService(ctx, service("orders", "web"), registry.Write{Author: "bob"}))
	states := must[[]registry.Past[mesh.Service]](t)(s.ServiceHistory(ctx, "orders", registry.Only()))
	wantHistory(t, states, "replace bob dependencies present", "create ada")
	if states[0].Object != nil || states[1].Object != nil {
		t.Error("the list has objects")
	}
	if seen, err := registry.Visible(states, registry.Token{Owners: []string{first.Owner}}, "service orders", "orders"); err != nil || len(seen) != 2 {
		t.Errorf("its owner sees %d of them: %v", len(seen), err)
	}
	states = must[[]registry.Past[mesh.Service]](t)(s.ServiceHistory(ctx, "orders", registry.Only(first.Meta.Revision)))
	if states[0].Object != nil || states[1].Object == nil {
		t.Error("not the one that is named, or more")
	}
}
