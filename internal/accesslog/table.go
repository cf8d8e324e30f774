package accesslog

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// The bounds of a table. A row takes about 500 bytes.
const (
	maxReporters = 20_000
	maxRows      = 50_000 // of all reporters together
	maxPeers     = 2000   // of one reporter
	maxUnknown   = 64     // of those, peers that are no services: hosts and addresses

	// Of reporters that anybody may have made up.
	maxStrangers    = 1000
	maxStrangerRows = 5000
)

// Other is the peer that stands for those beyond the bounds.
const Other = "(other)"

// Table counts what was reported to this server.
type Table struct {
	now   func() time.Time
	known func(peer string) bool
	// gateway says whether there is a gateway of a name, here or at another server; nil:
	// of those that report here alone. Set before the table is used.
	gateway func(name string) bool
	rows    atomic.Int64 // all of them
	hosts   atomic.Int64 // of all, rows of peers that were not known; without strangers'
	strange atomic.Int64 // of all, rows of strangers

	mu        sync.RWMutex
	reporters map[string]*reporter // guarded by mu
	strangers int                  // guarded by mu: of the reporters, those that are not sure
}

// NewTable makes an empty one. known says whether a peer is declared; now is the clock.
func NewTable(now func() time.Time, known func(string) bool) *Table {
	return &Table{now: now, known: known, reporters: map[string]*reporter{}}
}

// reporter is what the proxies of one service or gateway told.
type reporter struct {
	gateway bool
	limit   *rate.Limiter
	streams int // guarded by the table's mu

	mu      sync.Mutex // guards all below
	sure    bool       // no stranger
	rows    map[peer]*row
	unknown int // rows of peers that were not known
	blind   time.Time
	since   time.Time // watched from then, without a gap
	through time.Time // until then
	lost    time.Time // a stream was refused
	savedAt time.Time
	fresh   bool // there is something that was never saved, and is worth it now
	dirty   bool // there is something to save
}

// find gives the reporter of a name; nil if there is none.
func (t *Table) find(name string) *reporter {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.reporters[name]
}

// isCaller says whether a caller that a sidecar names may be one: services may, and
// gateways that a route names, that report, or that are connected. Of other names
// whoever makes them up could have any number kept.
func (t *Table) isCaller(name string) bool {
	return !strings.HasPrefix(name, mesh.GatewayCaller("")) || t.known(name) || t.find(name) != nil || t.gateway != nil && t.gateway(name)
}

// open gives the reporter of a name for as long as a stream is open, until
// [Table.close]; nil if there is no room. Strangers have one of their own.
func (t *Table) open(name string, sure bool) *reporter {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.of(name, sure)
	if r != nil {
		r.streams++
		r.watch(t.now())
	}
	return r
}

func (t *Table) close(r *reporter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.streams--
}

// of is called with mu held.
func (t *Table) of(name string, sure bool) *reporter {
	r := t.reporters[name]
	if r == nil {
		if sure && len(t.reporters)-t.strangers >= maxReporters || !sure && t.strangers >= maxStrangers {
			return nil
		}
		r = &reporter{limit: rate.NewLimiter(entriesASecond, maxEntries), rows: map[peer]*row{}, sure: sure, gateway: strings.HasPrefix(name, mesh.GatewayCaller(""))}
		t.reporters[name] = r
		t.strangers += int(one(!sure))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if sure && !r.sure {
		r.sure = true
		t.strangers--
		t.strange.Add(-int64(len(r.rows)))
		t.hosts.Add(int64(r.unknown))
	}
	return r
}

// forget drops rows that are saved, or are not to be, and in which nothing happened for
// long, and reporters without any.
func (t *Table) forget() {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, r := range t.reporters {
		if t.emptied(r, now) && r.streams == 0 {
			delete(t.reporters, name)
			t.strangers -= int(one(!r.sure))
		}
	}
}

// emptied drops old rows of a reporter, and says whether there is nothing left of it.
func (t *Table) emptied(r *reporter, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for of, w := range r.rows {
		if (w.saved == w.total || !r.sure) && now.Sub(w.last) > idle {
			delete(r.rows, of)
			r.unknown -= int(one(w.unknown))
			t.counted(r, w, -1)
		}
	}
	return len(r.rows) == 0 && (!r.sure || !r.fresh && !r.dirty)
}

// names are those of all reporters, sorted.
func (t *Table) names() []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.Sorted(maps.Keys(t.reporters))
}
