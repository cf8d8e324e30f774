package gossip

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
)

// keptTombstones is how many removed entries a record remembers, so that a change
// of it can be told without the whole. Who has missed more is told the whole.
const keptTombstones = 256

// position says how far one knows a host's record. Positions are ordered by epoch,
// then version.
type position struct {
	// Epoch is of one run of the host: a count of runs in the upper half, and in the
	// lower a number drawn at its start, so that two runs that did not hear of each
	// other (the host restarted while it was cut off) are never taken for one.
	Epoch   uint64
	Version uint64 // grows with each change of the record
}

func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.Epoch, q.Epoch), cmp.Compare(p.Version, q.Version))
}

// run is the place of the count of runs in an epoch. No host starts as often as would
// make lastEpoch; one that is said to have would have no later one to answer with.
const (
	run       = 1 << 32
	lastEpoch = 1 << 62
)

// firstEpoch is of a host that has not heard of an earlier run of its own; drawn is
// random.
func firstEpoch(drawn uint32) uint64 { return run + uint64(drawn) }

// later is an epoch of the same run as own that is after one that was claimed.
func later(claimed, own uint64) uint64 { return (claimed/run+1)*run + own%run }

// Change is an entry as it was at a version of its record.
type Change struct {
	Key     string `cbor:"1,keyasint"`
	Version uint64 `cbor:"2,keyasint"`
	Removed bool   `cbor:"3,keyasint,omitempty"`
	Value   []byte `cbor:"4,keyasint,omitempty"`
}

// Delta is what changed of a host's record after version From and up to To. From 0
// is the whole record: entries that are not in it are gone. With From = To it is a
// notice, that there is such a version.
type Delta struct {
	Host    string   `cbor:"1,keyasint"`
	Epoch   uint64   `cbor:"2,keyasint"`
	From    uint64   `cbor:"3,keyasint,omitempty"`
	To      uint64   `cbor:"4,keyasint"`
	Changes []Change `cbor:"5,keyasint,omitempty"`
	Leaving bool     `cbor:"6,keyasint,omitempty"` // the host is about to leave
}

func (d Delta) notice() bool { return d.From == d.To }

func (d Delta) asNotice() Delta {
	return Delta{Host: d.Host, Epoch: d.Epoch, From: d.To, To: d.To}
}

// record is what is known of one host.
type record struct {
	position
	// floor is the version that changes are known from on; before it, entries may
	// have been removed that are not remembered.
	floor   uint64
	entries map[string]Change // removed ones included
	removed int               // of entries
	bytes   int               // of the keys and values that are there
	leaving bool              // the host says good-bye
}

// live gives the entries that are there. The values are shared, and never written to.
func (r *record) live() map[string][]byte {
	live := make(map[string][]byte, len(r.entries)-r.removed)
	for key, entry := range r.entries {
		if !entry.Removed {
			live[key] = entry.Value
		}
	}
	return live
}

// since gives what changed after a version, the whole if that cannot be told.
func (r *record) since(host string, from uint64) Delta {
	d := Delta{Host: host, Epoch: r.Epoch, From: from, To: r.Version, Leaving: r.leaving}
	if from < r.floor || from > r.Version {
		d.From = 0
	}
	for _, entry := range r.entries {
		if entry.Version > d.From && (d.From > 0 || !entry.Removed) {
			d.Changes = append(d.Changes, entry)
		}
	}
	slices.SortFunc(d.Changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Version, b.Version), cmp.Compare(a.Key, b.Key))
	})
	return d
}

// set makes the record hold these entries and no others; it says whether that
// changed anything.
func (r *record) set(entries map[string][]byte) bool {
	next, changed := r.Version+1, false
	for key, value := range entries {
		if old, there := r.entries[key]; !there || old.Removed || !bytes.Equal(old.Value, value) {
			r.put(Change{Key: key, Version: next, Value: bytes.Clone(value)})
			changed = true
		}
	}
	for key, old := range r.entries {
		if _, still := entries[key]; !still && !old.Removed {
			r.put(Change{Key: key, Version: next, Removed: true})
			changed = true
		}
	}
	if changed {
		r.Version = next
		r.forget()
	}
	return changed
}

func (r *record) put(c Change) {
	if r.entries == nil {
		r.entries = map[string]Change{}
	}
	if old, there := r.entries[c.Key]; old.Removed {
		r.removed--
	} else if there {
		r.bytes -= len(old.Key) + len(old.Value)
	}
	if c.Removed {
		c.Value = nil
		r.removed++
	} else {
		r.bytes += len(c.Key) + len(c.Value)
	}
	r.entries[c.Key] = c
}

// forget lets the oldest removed entries go when there are too many: half of them,
// so that it is seldom done.
func (r *record) forget() {
	if r.removed <= keptTombstones {
		return
	}
	removed := make([]Change, 0, r.removed)
	for _, entry := range r.entries {
		if entry.Removed {
			removed = append(removed, entry)
		}
	}
	slices.SortFunc(removed, func(a, b Change) int { return cmp.Compare(a.Version, b.Version) })
	r.floor = removed[len(removed)-keptTombstones/2-1].Version
	for _, entry := range removed {
		if entry.Version <= r.floor {
			delete(r.entries, entry.Key)
			r.removed--
		}
	}
}

// leave takes all entries away, for good.
func (r *record) leave() {
	*r = record{position: position{r.Epoch, r.Version + 1}, floor: r.Version + 1, leaving: true}
}

// outcome is what came of a delta.
type outcome int

const (
	known   outcome = iota // it says nothing new
	applied                // the record is now what it says
	gap                    // something before it is missing: fetch it
	refused                // it exceeds a bound: nothing has changed
)

// merge takes what somebody says of the record's host, if it costs no more than there is room.
func (r *record) merge(d Delta, room int) outcome {
	at := position{d.Epoch, d.To}
	switch {
	case at.compare(r.position) <= 0:
		return known
	case d.notice(), d.From > 0 && (d.Epoch != r.Epoch || d.From > r.Version):
		return gap
	case r.exceeds(d, room) != nil:
		return refused
	case d.From == 0:
		*r = record{floor: d.To}
	}
	before := r.Version
	for _, change := range d.Changes {
		if change.Version > before {
			r.put(change)
		}
	}
	r.position, r.leaving = at, d.Leaving
	r.forget()
	return applied
}

// restart begins a later epoch with the same entries, after somebody has been heard
// to know more of this host than it does itself: that was said before it started.
func (r *record) restart(epoch uint64) {
	maps.DeleteFunc(r.entries, func(_ string, entry Change) bool { return entry.Removed })
	for key, entry := range r.entries {
		entry.Version = 1
		r.entries[key] = entry
	}
	r.position, r.floor, r.removed = position{epoch, 1}, 1, 0
}
