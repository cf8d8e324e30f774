package registry_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// TestATraceIsToldToServersAlone has a write followed: every server's watch has its
// trace, and the object as the API answers it has none, which an older server would
// refuse as a field that it does not know.
func TestATraceIsToldToServersAlone(t *testing.T) {
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	etcd, err := registry.StartEmbedded(t.Context(), registry.EmbeddedConfig{NoSync: true,
		DataDir: t.TempDir(), Tracing: registry.Tracing{Of: func(context.Context) string { return trace }},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	s := must[*registry.Store](t)(etcd.Open(t.Context()))
	defer s.Close()
	w := watch(t, s, registry.WatchConfig{})

	write := registry.Write{Author: "ada", RequestID: "1"}
	objects := []any{must[mesh.Service](t)(s.PutService(t.Context(), service("orders"), write))}
	objects = append(objects, must[mesh.Service](t)(s.PutService(t.Context(), service("orders"), write))) // told again
	objects = append(objects, must[mesh.Service](t)(s.Service(t.Context(), "orders")))
	objects = append(objects, must[[]mesh.Instance](t)(s.Register(t.Context(), []mesh.Instance{instance("orders", "1")}, time.Minute, registry.Write{})))
	for _, object := range objects {
		if answer := string(must[[]byte](t)(json.Marshal(object))); strings.Contains(answer, trace) {
			t.Errorf("the answer is %s", answer)
		}
	}

	w.wants(t, "instance/orders/1", "service/orders")
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range w.batches {
		for _, c := range b.Changes {
			if c.Meta().Trace != trace {
				t.Errorf("%s came with the trace %q", nameOf(c), c.Meta().Trace)
			}
		}
	}
}
