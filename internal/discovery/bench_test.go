package discovery

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// noShelf takes what is written.
type noShelf struct{ Shelf }

func (noShelf) Write(context.Context, []mesh.VM, []mesh.VMKey) (int64, error) { return 1, nil }

// BenchmarkKeep is from a listing of 10,000 machines of 20 scopes, one of which changed, to
// its write: what stands between a listing's end and everything that follows from it.
func BenchmarkKeep(b *testing.B) {
	made := func() Listing {
		var out Listing
		for s := range 20 {
			scope := Scope{Name: fmt.Sprintf("subscriptions/00000000-0000-0000-0000-%012d", s)}
			for i := range 500 {
				scope.VMs = append(scope.VMs, mesh.VM{
					ID: fmt.Sprintf("%s/resourcegroups/mesh/providers/microsoft.compute/virtualmachines/vm-%d-%d", scope.Name, s, i), Name: fmt.Sprintf("vm-%d-%d", s, i),
					PrivateIP: fmt.Sprintf("10.%d.%d.%d", s, i/250, i%250), Region: "westeurope", Zone: "1", State: mesh.VMRunning, Health: mesh.VMHealthUnknown,
					Tags: map[string]string{"heddle-service": "orders:8080", "team": "shop", "cost-centre": "4711"}, Runs: []mesh.VMService{{Name: "orders", Port: 8080}},
				})
			}
			out.Scopes = append(out.Scopes, scope)
		}
		return out
	}
	r := NewRefresher(Config{Source: Source{Name: "azure"}, Shelf: noShelf{}})
	known, first := Known{}, made()
	if _, err := r.keep(b.Context(), maps.Clone(known), first, time.Now()); err != nil {
		b.Fatal(err)
	}
	for i := range first.Scopes {
		for j := range first.Scopes[i].VMs {
			known[first.Scopes[i].VMs[j].Key()] = &first.Scopes[i].VMs[j]
		}
	}
	next := made()
	next.Scopes[7].VMs[7].State = mesh.VMStopping
	for b.Loop() {
		m, err := r.keep(b.Context(), known, next, time.Now())
		if err != nil || len(m.put) != 1 || len(m.gone) != 0 || m.count != 10_000 {
			b.Fatalf("%d put, %d gone of %d, %v", len(m.put), len(m.gone), m.count, err)
		}
	}
}
