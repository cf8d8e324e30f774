package insight

import (
	"context"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

const (
	mostTurns     = 2               // of those who have shown who they are, at a time
	mostStrangers = 1               // of all others
	turnWait      = 2 * time.Second // for which one waits for its turn
)

// Turns let what is much work be done a few at a time. Those who have not shown who they
// are have turns of their own, so that they cannot keep the others waiting.
type Turns struct {
	work             string
	known, strangers chan struct{}
}

// NewTurns makes turns of plans and impacts, each of which translates much, that the
// callers who share a machine share.
func NewTurns() *Turns { return newTurns("what changes would change is worked out") }

// NewLayoutTurns makes turns of layouts.
func NewLayoutTurns() *Turns { return newTurns("the picture of the mesh is laid out") }

func newTurns(work string) *Turns {
	return &Turns{work: work, known: make(chan struct{}, mostTurns), strangers: make(chan struct{}, mostStrangers)}
}

// Take waits a little for a turn of those who are known, or of the others, which done
// gives back.
func (t *Turns) Take(ctx context.Context, known bool) (done func(), err error) {
	turns, who := t.known, "others"
	if !known {
		turns, who = t.strangers, "others without a token"
	}
	wait, cancel := context.WithTimeout(ctx, turnWait)
	defer cancel()
	select {
	case turns <- struct{}{}:
		return func() { <-turns }, nil
	case <-wait.Done():
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return nil, mesh.Unavailable(nil, "%s for %s right now, %d at a time: ask again in a few seconds", t.work, who, cap(turns))
	}
}
