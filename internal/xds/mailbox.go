package xds

import (
	"sync"
	"sync/atomic"
	"time"
)

// mailbox takes the names that changed for one stream, until the stream looks.
// It is a set, not a queue: however often a resource changes while the stream
// is busy, it costs one entry, and what is sent is the latest.
type mailbox struct {
	scope *scope // the one the stream belongs to; never changes

	node       string      // of the stream's proxy; never changes
	aggregated bool        // the proxy has no other stream; never changes
	number     uint64      // in the order in which the streams came; never changes
	behind     atomic.Bool // the client has not answered or not taken all that it was sent

	// wild are the types that the stream subscribes to as a whole. Guarded by
	// the table's lock.
	wild [kindCount]bool

	// asked are the entries that the stream asked for by name, as their numbers.
	// Guarded by the table's lock.
	asked [kindCount]bits

	// wake has room for one signal: there is something to look at.
	wake chan struct{}

	mu    sync.Mutex // guards marks; a leaf: nothing else is locked under it
	marks [kindCount]marks
}

// marks are the names of one type that changed.
type marks struct {
	since time.Time // of the oldest change among them
	// gone holds for each name the resource that left the scope last, which may
	// have come back, or nil.
	gone map[name]*Resource
}

func newMailbox() *mailbox {
	return &mailbox{wake: make(chan struct{}, 1)}
}

// mark notes one name that changed at a time. The caller signals when its transaction is done.
func (b *mailbox) mark(k kind, n name, gone *Resource, since time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := &b.marks[k]
	if m.gone == nil {
		m.gone = map[name]*Resource{}
		m.since = since
	}
	m.since = sooner(m.since, since)
	if gone != nil || m.gone[n] == nil {
		m.gone[n] = gone // whether it has come back is seen in the scope
	}
}

// take empties the mailbox.
func (b *mailbox) take() (taken [kindCount]marks) {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken, b.marks = b.marks, taken
	return taken
}

// signal wakes the stream, or does nothing if it has been woken already.
func (b *mailbox) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}
