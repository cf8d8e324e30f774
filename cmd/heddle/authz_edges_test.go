package main

import (
	"testing"
	"time"
)

// A gateway may call what its routes have left for a while, and no longer.
func TestRoutesLinger(t *testing.T) {
	t.Parallel()
	e, pair := &meshEdges{}, routedPair{"edge", "orders"}
	expect := func(what string, routed, want bool) {
		t.Helper()
		if got := e.lingers(pair, routed); got != want {
			t.Errorf("%s: %v", what, got)
		}
	}
	expect("never routed", false, false)
	expect("routed", true, true)
	expect("just left", false, true)
	e.routed.Store(pair, time.Now().Add(-routesLinger-time.Second))
	expect("left long ago", false, false)
	expect("and forgotten", false, false)
	expect("routed again", true, true)
	if e.lingers(routedPair{"inner", "orders"}, false) {
		t.Error("another gateway lingers too")
	}
}
