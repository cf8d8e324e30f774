package gatewayapi

import (
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	ctrl "sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
)

type (
	createEvent[T any] = event.TypedCreateEvent[T]
	updateEvent[T any] = event.TypedUpdateEvent[T]
	deleteEvent[T any] = event.TypedDeleteEvent[T]
)

// differ says whether anything that is looked at of an object became another. Most kinds
// count the generations of what people wrote; Services do not.
func differ(before, now ctrl.Object) bool {
	if before.GetUID() != now.GetUID() || before.GetGeneration() != now.GetGeneration() || before.GetDeletionTimestamp().IsZero() != now.GetDeletionTimestamp().IsZero() ||
		!maps.Equal(before.GetLabels(), now.GetLabels()) || !maps.Equal(before.GetAnnotations(), now.GetAnnotations()) {
		return true
	}
	if is, service := now.(*corev1.Service); service {
		was, _ := before.(*corev1.Service)
		return was == nil || !equality.Semantic.DeepEqual(was.Spec, is.Spec) || !equality.Semantic.DeepEqual(was.Status.LoadBalancer, is.Status.LoadBalancer)
	}
	return false
}

// pace keeps looks apart while changes keep coming: the first is looked at at once, and
// those that come soon after a look began together, when it is time.
type pace struct {
	mu    sync.Mutex
	began time.Time // guarded by mu: the latest look
}

func (p *pace) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.began = time.Now()
}

// next is how long a change that comes now waits.
func (p *pace) next() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(together, apart-time.Since(p.began))
}
