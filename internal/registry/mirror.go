package registry

import (
	"bytes"
	"context"
	"hash/maphash"
	"maps"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// mirror is what a watcher knows of the mesh, so that it can tell what a list
// changes. Objects in it are shared with those it was handed to, and never change.
type mirror struct {
	store    *Store
	revision int64 // 0: nothing listed yet
	known    map[string]known
	newest   string       // the key that was written last; "" if it was deleted since
	seed     maphash.Seed // of the sums
}

// known is one key: what was last read of it.
type known struct {
	revision int64       // of the value in etcd
	sum      uint64      // of that value: in another history one of the same revision may be another
	good     bool        // whether that value, or one before it, could be read
	change   mesh.Change // the last good value, if good
}

// stored is one key as etcd has it.
type stored struct {
	value             []byte
	revision, created int64
}

func newMirror(s *Store) *mirror {
	return &mirror{store: s, known: map[string]known{}, seed: maphash.MakeSeed()}
}

// listMesh reads the whole mesh at one revision (0: now), and gives that revision.
func (s *Store) listMesh(ctx context.Context, at int64) (map[string]stored, int64, error) {
	listed := map[string]stored{}
	for _, prefix := range meshPrefixes {
		revision, err := s.pages(ctx, prefix, at, func(kv *mvccpb.KeyValue) {
			listed[string(kv.Key)] = stored{bytes.Clone(kv.Value), kv.ModRevision, kv.CreateRevision}
		})
		if err != nil {
			return nil, 0, err
		}
		at = revision
	}
	return listed, at, nil
}

// replace makes the mirror what was listed, and gives the differences by key.
func (m *mirror) replace(listed map[string]stored, revision int64) []mesh.Change {
	var changes []mesh.Change
	for _, key := range slices.Sorted(maps.Keys(m.known)) {
		if _, there := listed[key]; !there {
			changes = append(changes, m.remove(key, revision)...)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(listed)) {
		if one := m.known[key]; one.revision != listed[key].revision || one.sum != m.sum(listed[key].value) {
			changes = append(changes, m.put(key, listed[key])...)
		}
	}
	m.revision, m.newest = revision, ""
	for key, one := range m.known {
		if m.newest == "" || one.revision > m.known[m.newest].revision {
			m.newest = key
		}
	}
	return changes
}

func (m *mirror) sum(value []byte) uint64 { return maphash.Bytes(m.seed, value) }

// put takes in a value. One that cannot be read is set aside; what was good
// before it stays.
func (m *mirror) put(key string, now stored) []mesh.Change {
	before, revision := m.known[key], now.revision
	m.newest = key
	change, faults, err := decodeChange(key, now.value, revision)
	if err != nil {
		m.known[key] = known{revision: revision, sum: m.sum(now.value), good: before.good, change: before.change}
		m.store.setAside(Quarantine{Key: key, Reason: err.Error(), Revision: revision}, before.good)
		if before.good {
			return nil
		}
		return serviceWithout(key, revision, true)
	}
	if change.Route != nil {
		change.Route.Created = now.created
	}
	m.known[key] = known{revision: revision, sum: m.sum(now.value), good: true, change: change}
	m.store.readAgain(key)
	if len(faults) > 0 {
		m.store.setAside(Quarantine{Key: key, Reason: faults.String(), Revision: revision, InUse: true}, true)
	}
	return []mesh.Change{change}
}

// remove takes in a deletion.
func (m *mirror) remove(key string, revision int64) []mesh.Change {
	before, there := m.known[key]
	delete(m.known, key)
	if m.newest == key {
		m.newest = ""
	}
	m.store.readAgain(key)
	switch {
	case !there:
		return nil
	case !before.good:
		return serviceWithout(key, revision, false)
	}
	gone := before.change
	gone.Deleted, gone.Revision = true, revision
	return []mesh.Change{gone}
}

// serviceWithout tells of a service of which nothing is known but its key, so that
// its callers can be told whether it is there. Of other objects nobody asks that.
func serviceWithout(key string, revision int64, unreadable bool) []mesh.Change {
	name, isService := strings.CutPrefix(key, servicePrefix)
	if !isService {
		return nil
	}
	return []mesh.Change{{Service: &mesh.Service{Name: mesh.ServiceName(name)}, Deleted: true, Unreadable: unreadable, Revision: revision}}
}

// Quarantined lists the values that could not be read, and those in use that
// would be refused if they were written now, by key, as the latest
// [Store.Watch] saw them.
func (s *Store) Quarantined() []Quarantine {
	s.quarantine.mu.Lock()
	defer s.quarantine.mu.Unlock()
	list := make([]Quarantine, 0, len(s.quarantine.byKey))
	for _, key := range slices.Sorted(maps.Keys(s.quarantine.byKey)) {
		list = append(list, s.quarantine.byKey[key])
	}
	return list
}

func (s *Store) setAside(q Quarantine, lastGood bool) {
	s.quarantine.mu.Lock()
	if s.quarantine.byKey == nil {
		s.quarantine.byKey = map[string]Quarantine{}
	}
	s.quarantine.byKey[q.Key] = q
	s.quarantine.mu.Unlock()
	if q.InUse {
		s.logger.Warn("a value in etcd stays in use although it would be refused if it were written now", "key", q.Key, "revision", q.Revision, "reason", q.Reason)
		return
	}
	s.logger.Error("a value in etcd cannot be read and is set aside", "key", q.Key, "revision", q.Revision, "reason", q.Reason, "last_good_stays", lastGood)
}

func (s *Store) readAgain(key string) {
	s.quarantine.mu.Lock()
	defer s.quarantine.mu.Unlock()
	delete(s.quarantine.byKey, key)
}
