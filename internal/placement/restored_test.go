package placement_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/placement"
)

// restoredKeeper writes to a registry that was restored, of which the view does not know.
type restoredKeeper struct {
	*keeper
	at int64 // the registry's revision; 0: it was not restored
}

func (k *restoredKeeper) Keep(ctx context.Context, service mesh.ServiceName, source string, list []mesh.Instance) (placement.Written, error) {
	if k.at == 0 {
		return k.keeper.Keep(ctx, service, source, list)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.writes++
	k.at++
	return placement.Written{Revision: k.at, Base: k.at}, nil
}

func (k *restoredKeeper) Change(ctx context.Context, service mesh.ServiceName, source string, change mesh.KeptChange) (placement.Written, error) {
	return k.Keep(ctx, service, source, change.Instances)
}

// TestAPlacerOfARestoredRegistry does not write again and again what the view does not have
// yet, and writes what the restored registry lacks, each once.
func TestAPlacerOfARestoredRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.revision = 100
		w.put(orders(fromAzure))
		k := &restoredKeeper{keeper: &keeper{world: w}, at: 7}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			placement.New(placement.Config{Catalog: w.Catalog, Keeper: k}).Run(ctx)
		}()
		defer func() { cancel(); <-done }()
		synctest.Wait()
		w.put(machine("a", nil))
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if n := k.count(); n != 2 {
			t.Fatalf("%d writes until the view goes back, want one in two seconds", n)
		}
		k.mu.Lock()
		k.at, w.revision = 0, 19
		k.mu.Unlock()
		w.put(mesh.Change{Service: &mesh.Service{Name: "other", Protocol: mesh.HTTP, Port: 80}}) // at 20
		synctest.Wait()
		if got, n := addresses(w), k.count(); !slices.Equal(got, []string{"10.0.0.7"}) || n != 3 {
			t.Fatalf("restored it has %v after %d writes", got, n)
		}
	})
}
