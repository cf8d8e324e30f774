package xds

import (
	"fmt"
	"testing"
	"time"
)

// Proxies on the separate services have several streams each. To choose one of a
// thousand of them must not hold up the table for seconds, and the one that asked
// for most, with all of its streams, is chosen.
func TestCanaryAmongManySeparateStreams(t *testing.T) {
	const proxies, changes = 2000, 100
	table := newTable(time.Hour, time.Now)
	u := Update{Scopes: map[string][]Key{"web": nil}}
	for i := range changes {
		u.Scopes["web"] = append(u.Scopes["web"], Key{Type: TypeRoute, Name: fmt.Sprint("route", i)})
	}
	table.apply(u, time.Now())
	ask := func(node string, from, to int) *mailbox {
		box := newMailbox()
		box.node = node
		table.join(box, "web")
		in := interest{kind: kindRoute}
		for i := from; i < to; i++ {
			in.wait = append(in.wait, pending{nameOf(fmt.Sprint("route", i)), -1})
		}
		table.enter(box, in)
		return box
	}
	for i := range proxies {
		ask(fmt.Sprint("web/", i), 0, changes/2+1)
	}
	ask("web/most", 0, changes/2)
	ask("web/most", changes/2, changes)

	began := time.Now()
	s := table.scopes["web"]
	var doubtful []*entry
	for _, e := range s.members[kindRoute] {
		doubtful = append(doubtful, e)
	}
	if chosen := s.choose(doubtful); chosen == nil || chosen.node != "web/most" {
		t.Errorf("%+v was chosen", chosen)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
}
