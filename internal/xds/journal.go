package xds

import (
	"sync"
	"time"
)

// journalSize is how many updates are remembered. It is many, so that a proxy that
// is slow to answer is not left out of the figures.
const journalSize = 4096

// journal remembers of the last updates when what they tell was written. A response
// carries the moment of the oldest update in it, and by that moment an
// acknowledgement finds here how old the news was: so nothing more has to be carried
// along for each name and each stream.
type journal struct {
	mu   sync.RWMutex // guards the fields below; a leaf
	ring []noted
	next int // where the next one goes: behind the newest
}

// noted is one update.
type noted struct {
	at      time.Time // when it was applied
	written time.Time // as in [Update]
	traces  []string
}

// note takes in an update, before streams can see it.
func (j *journal) note(n noted) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.ring) < journalSize {
		j.ring = append(j.ring, n)
		return
	}
	j.ring[j.next] = n
	j.next = (j.next + 1) % journalSize
}

// find gives the update that was applied at a moment. There is none for what did
// not come of an update. Of one that was forgotten the moment itself is given: its
// news is no younger.
func (j *journal) find(at time.Time) (noted, bool) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	size := len(j.ring)
	for back := 1; back <= size; back++ {
		n := j.ring[(j.next+size-back)%size]
		switch {
		case n.at.Equal(at):
			return n, true
		case n.at.Before(at):
			return noted{}, false
		}
	}
	return noted{at: at, written: at}, size == journalSize
}
