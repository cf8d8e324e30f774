package operator

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/heddle-mesh/heddle/internal/client"
)

// While the registry has not been read nothing is looked at again and again: what the
// workers have waits, and ends with them.
func TestNothingIsPolledBeforeTheRegistryIsRead(t *testing.T) {
	for name, look := range map[string]func(context.Context, *mirror) (reconcile.Result, error){
		"objects": func(ctx context.Context, m *mirror) (reconcile.Result, error) {
			return (&objects{mirror: m}).Reconcile(ctx, object{kind: serviceKind})
		},
		"discovery": func(ctx context.Context, m *mirror) (reconcile.Result, error) {
			return (&discovery{mirror: m}).Reconcile(ctx, "orders")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				began := time.Now()
				result, err := look(ctx, newMirror())
				if took := time.Since(began); took != time.Hour || result.RequeueAfter != 0 || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("after %s: %+v, %v", took, result, err)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		m := newMirror()
		waited := make(chan error)
		for range 2 {
			go func() { waited <- m.awaitSynced(t.Context()) }()
		}
		synctest.Wait()
		for range 2 { // and once more after a break
			m.take(client.Event{Type: client.EventReset})
			m.take(client.Event{Type: client.EventSynced})
		}
		for range 2 {
			if err := <-waited; err != nil {
				t.Error(err)
			}
		}
	})
}
