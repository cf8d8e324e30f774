package insight_test

import (
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestWhatWasSeenIsMadeOnceASecond(t *testing.T) {
	at, made := now, 0
	shared := insight.Shared{Now: func() time.Time { return at }, Make: func() insight.Observed {
		made++
		return insight.Observed{Edges: []mesh.Edge{{Caller: "web", Callee: "orders"}}}
	}}
	for _, want := range []int{1, 1, 2, 2} {
		for range 10 {
			if got := shared.Get(); len(got.Edges) != 1 {
				t.Fatalf("%+v", got)
			}
		}
		if made != want {
			t.Errorf("%d made, want %d", made, want)
		}
		at = at.Add(500 * time.Millisecond)
	}
}
