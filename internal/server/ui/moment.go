package ui

import (
	"errors"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/catalog"
)

// keptInMoment bounds how many things are kept at a time.
const keptInMoment = 16

// moment shares what is made of one view of the catalog within one second among
// all who ask for it then: the first makes it, the others wait for that. What
// belongs to an older view or second is forgotten, and everything when it is too
// much. Who comes late, with an older view or second, is given what is newer, or
// makes its own, and takes nothing from the others. What is shared must not be
// changed.
type moment[K comparable, V any] struct {
	mu   sync.Mutex
	view *catalog.View     // guarded by mu
	at   time.Time         // guarded by mu; in the second of which it is made
	made map[K]*sharing[V] // guarded by mu; keptInMoment at most
}

// sharing is one thing that is made, or was.
type sharing[V any] struct {
	done  chan struct{} // closed once it is made
	value V
	err   error
}

var errUnmade = errors.New("what several pages share was not made, for one of them failed at it")

// get gives what made makes of view and now for a key. As others wait for it, made
// must not end with the request that asked first.
func (m *moment[K, V]) get(view *catalog.View, now time.Time, key K, made func() (V, error)) (V, error) {
	one, first := m.find(view, now, key)
	if first {
		defer close(one.done) // also when it panics
		one.value, one.err = made()
		return one.value, one.err
	}
	<-one.done
	return one.value, one.err
}

// find says whether whoever asks is the first.
func (m *moment[K, V]) find(view *catalog.View, now time.Time, key K) (one *sharing[V], first bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	// Not by the seconds: the clock may be set back, where comparing times does not see it.
	second := m.at.Unix() == now.Unix()
	late := m.view != nil && (view.Mark().Before(m.view.Mark()) || !second && now.Before(m.at))
	if !late && (m.view != view || !second) {
		m.view, m.at, m.made = view, now, nil
	}
	if one = m.made[key]; one != nil {
		return one, false
	}
	one = &sharing[V]{done: make(chan struct{}), err: errUnmade}
	if late {
		return one, true
	}
	if m.made == nil || len(m.made) >= keptInMoment {
		m.made = map[K]*sharing[V]{}
	}
	m.made[key] = one
	return one, true
}
