package gatewayapi

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// mostMessage is how long a condition's message may be.
const mostMessage = 1024

// conditions are those of one object, as of one generation of it.
type conditions struct {
	list       []metav1.Condition
	generation int64
}

// after begins with what was said before, so that a condition that stays keeps its time.
func after(before []metav1.Condition, generation int64) conditions {
	return conditions{slices.Clone(before), generation}
}

func (c *conditions) set(kind string, is bool, reason, message string) {
	status := metav1.ConditionFalse
	if is {
		status = metav1.ConditionTrue
	}
	c.say(kind, status, reason, message)
}

// unknown is for what could not be looked at.
func (c *conditions) unknown(kind, reason, message string) {
	c.say(kind, metav1.ConditionUnknown, reason, message)
}

func (c *conditions) say(kind string, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(&c.list, metav1.Condition{
		Type: kind, Status: status, Reason: reason, Message: mesh.Cut(message, mostMessage), ObservedGeneration: c.generation,
	})
}

// fault is why something is not as it should be: a condition's reason and message.
// Without a reason there is none.
type fault struct{ reason, message string }

func (f *fault) first(reason, message string) {
	if f.reason == "" {
		*f = fault{reason, message}
	}
}

// tell sets a condition that is true unless there is a fault.
func (c *conditions) tell(kind string, f fault, fine string) {
	if f.reason != "" {
		c.set(kind, false, f.reason, f.message)
	} else {
		c.set(kind, true, fine, "")
	}
}
