package operator

import (
	"context"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/heddle-mesh/heddle/internal/kubernetes/v1alpha1"
)

// rightsAgain is how soon a status is put right that was put right before: two writers
// do not chase each other.
const rightsAgain = 10 * time.Second

// statuses knows the status that was told of each object last, so that what somebody else
// writes over it is noticed.
type statuses struct {
	mu sync.Mutex
	of map[object]lastStatus // guarded by mu
}

type lastStatus struct {
	prints [3]uint64 // the latest first: events of one's own writes may come when more were written
	next   time.Time // the soonest that it is put right again
}

// note is before the status is written: nobody sees it any sooner.
func (t *statuses) note(o object, print uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = map[object]lastStatus{}
	}
	last := t.of[o]
	if last.prints[0] != print {
		copy(last.prints[1:], last.prints[:])
		last.prints[0] = print
	}
	t.of[o] = last
}

func (t *statuses) forget(o object) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.of, o)
}

// overwritten says whether a status is not the one that was told, and for how long to
// leave it.
func (t *statuses) overwritten(o object, print uint64, now time.Time) (wait time.Duration, is bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	last, known := t.of[o]
	if !known || slices.Contains(last.prints[:], print) {
		return 0, false
	}
	if wait = last.next.Sub(now); wait > 0 {
		return wait, true
	}
	last.next = now.Add(rightsAgain)
	t.of[o] = last
	return 0, true
}

// overwrites has an object looked at whose status somebody else wrote.
func overwrites[T v1alpha1.Object](c *objects, k kind) handler.TypedEventHandler[T, object] {
	return handler.TypedFuncs[T, object]{
		UpdateFunc: func(_ context.Context, e event.TypedUpdateEvent[T], queue workqueue.TypedRateLimitingInterface[object]) {
			o := object{k, types.NamespacedName{Namespace: e.ObjectNew.GetNamespace(), Name: e.ObjectNew.GetName()}}
			if wait, is := c.told.overwritten(o, c.mirror.print(e.ObjectNew.Common().Status), time.Now()); is {
				queue.AddAfter(o, wait)
			}
		},
	}
}
