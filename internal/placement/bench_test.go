package placement_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/placement"
)

// announcer is a keeper that says when a change was written.
type announcer struct {
	*keeper
	changed chan struct{}
}

func (a announcer) Change(ctx context.Context, service mesh.ServiceName, source string, change mesh.KeptChange) (placement.Written, error) {
	written, err := a.keeper.Change(ctx, service, source, change)
	a.changed <- struct{}{}
	return written, err
}

// BenchmarkPlacer is from a machine that changes in the catalog to the write of its
// instance, beside placing everything anew, which is what Place does for those who ask.
func BenchmarkPlacer(b *testing.B) {
	const count = 10_000
	for _, services := range []int{1, 500} {
		w := newWorld()
		var all []mesh.Change
		for i := range services {
			s := orders(fromAzure)
			s.Service.Name = mesh.ServiceName(fmt.Sprint("s", i))
			all = append(all, s)
		}
		vm := func(i, port int) mesh.Change {
			return machine(fmt.Sprint("subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/web/providers/microsoft.compute/virtualmachines/vm-", i), func(v *mesh.VM) {
				v.PrivateIP = fmt.Sprintf("10.%d.%d.%d", 1+i>>16, i>>8&255, i&255)
				v.Runs[0] = mesh.VMService{Name: mesh.ServiceName(fmt.Sprint("s", i%services)), Port: mesh.Port(port)}
			})
		}
		for i := range count {
			all = append(all, vm(i, 8080))
		}
		w.put(all...)
		b.Run(fmt.Sprintf("change/services=%d", services), func(b *testing.B) {
			k := announcer{&keeper{world: w}, make(chan struct{})}
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				placement.New(placement.Config{Catalog: w.Catalog, Keeper: k}).Run(ctx)
			}()
			defer func() { cancel(); <-done }()
			for k.count() < services {
			}
			for i := 0; b.Loop(); i++ {
				k.mu.Lock()
				w.put(vm(i%count, 9000+i/count%1000))
				k.mu.Unlock()
				<-k.changed
			}
		})
		b.Run(fmt.Sprintf("anew/services=%d", services), func(b *testing.B) {
			for b.Loop() {
				placement.Place(w.View())
			}
		})
	}
}
