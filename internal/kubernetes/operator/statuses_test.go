package operator

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Whoever writes over a status again and again has it put right once in ten seconds.
func TestTwoWritersOfAStatusDoNotChaseEachOther(t *testing.T) {
	t.Parallel()
	var c statuses
	o := object{serviceKind, types.NamespacedName{Namespace: "shop", Name: "orders"}}
	now := time.Now()
	if _, is := c.overwritten(o, 1, now); is {
		t.Error("what nobody has told yet is overwritten")
	}
	c.note(o, 1)
	if _, is := c.overwritten(o, 1, now); is {
		t.Error("its own status is another's")
	}
	if wait, is := c.overwritten(o, 2, now); !is || wait != 0 {
		t.Errorf("the first is put right after %s, %t", wait, is)
	}
	c.note(o, 1)
	if wait, is := c.overwritten(o, 2, now.Add(time.Second)); !is || wait != rightsAgain-time.Second {
		t.Errorf("the second is put right after %s, %t", wait, is)
	}
	if wait, is := c.overwritten(o, 2, now.Add(rightsAgain)); !is || wait != 0 {
		t.Errorf("a later one is put right after %s, %t", wait, is)
	}
	for print := range uint64(3) {
		c.note(o, 10+print)
	}
	if _, is := c.overwritten(o, 10, now.Add(time.Hour)); is {
		t.Error("the event of its own write before the last one is another's")
	}
	c.forget(o)
	if _, is := c.overwritten(o, 2, now); is {
		t.Error("an object that is gone is put right")
	}
}
