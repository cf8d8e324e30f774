package catalog

import (
	"fmt"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestExpiriesAreNotRememberedForEver(t *testing.T) {
	now := time.Unix(0, 0)
	c := New(Config{Clock: func() time.Time { return now }})
	for i := range 1000 { // services come, lose an instance of two, and are never heard of again
		now = now.Add(time.Second)
		name := mesh.ServiceName(fmt.Sprintf("job-%d", i))
		one := &mesh.Instance{ID: "1", Service: name, Address: "10.0.0.1", Port: 80}
		two := &mesh.Instance{ID: "2", Service: name, Address: "10.0.0.2", Port: 80}
		c.Apply(int64(i), true, []mesh.Change{{Instance: one}, {Instance: two}, {Instance: one, Deleted: true}})
	}
	if got := len(c.expired); got > 130 {
		t.Errorf("the expiries of %d services are remembered, over a window of 60 s with one each second", got)
	}
}
