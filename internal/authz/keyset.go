package authz

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Rotation says how keys follow each other.
type Rotation struct {
	Every time.Duration // how long a key signs; default 30 days
	Ahead time.Duration // how long it is published before it signs; default 1 h
	Keep  time.Duration // how long it is published after it last signed: as long as its tokens live, and a minute for clocks that differ
}

// keySet is all keys at one moment, by when they begin to sign. It never
// changes. The one that signs is the last that has begun to.
type keySet struct {
	keys     []*key
	jwks     []byte
	ring     string // random name of the key store
	sequence int64  // counts the changes there
	rotation string // the last rotation out of turn that was done

	revoked map[string]time.Time // keys that are to go, and since when that is known
	// published says since when each key is known to be published; nil: they need
	// not be.
	published map[string]time.Time
}

// storedKeys is how a key set is stored. What is not known here is refused, so
// that an older Heddle does not sign with what it does not understand.
type storedKeys struct {
	Version  int         `json:"version"` // 1
	Ring     string      `json:"ring,omitempty"`
	Sequence int64       `json:"sequence,omitempty"`
	Rotation string      `json:"rotation,omitempty"`
	Keys     []storedKey `json:"keys"`
}

type storedKey struct {
	PKCS8     []byte    `json:"pkcs8"`
	SignsFrom time.Time `json:"signsFrom"`
}

func newKeySet(keys []*key) (*keySet, error) {
	slices.SortStableFunc(keys, func(a, b *key) int { return a.signsFrom.Compare(b.signsFrom) })
	public := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, k := range keys {
		public.Keys = append(public.Keys, k.public)
	}
	jwks, err := json.Marshal(public)
	return &keySet{keys: keys, jwks: jwks}, err
}

// decodeKeySet reads what encode wrote.
func decodeKeySet(data []byte) (*keySet, error) {
	var stored storedKeys
	if err := json.Unmarshal(data, &stored); err != nil {
		return nil, err
	}
	if stored.Version != 1 {
		return nil, fmt.Errorf("they are stored in format %d, which this Heddle does not know", stored.Version)
	}
	var keys []*key
	for i, one := range stored.Keys {
		k, err := readKey(one.PKCS8, one.SignsFrom)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i, err)
		}
		keys = append(keys, k)
	}
	set, err := newKeySet(keys)
	if err == nil {
		set.ring, set.sequence, set.rotation = stored.Ring, stored.Sequence, stored.Rotation
	}
	return set, err
}

func (s *keySet) encode() ([]byte, error) {
	stored := storedKeys{Version: 1, Ring: s.ring, Sequence: s.sequence, Rotation: s.rotation}
	for _, k := range s.keys {
		stored.Keys = append(stored.Keys, storedKey{PKCS8: k.pkcs8, SignsFrom: k.signsFrom})
	}
	return json.Marshal(stored)
}

// signing gives the key that signs now, or nil: the last that has begun and that
// all know. When none has begun, by this machine's clock, it is the first.
func (s *keySet) signing(now time.Time) *key {
	var known *key // the first that is published, should there be nothing better
	for i := len(s.keys) - 1; i >= 0; i-- {
		since, is := s.published[s.keys[i].id]
		switch {
		case s.published != nil && !is:
		case s.keys[i].signsFrom.After(now) || now.Before(since.Add(settling)):
			known = s.keys[i]
		default:
			return s.keys[i]
		}
	}
	return known
}

// ids are the keys' ids, by when they begin to sign.
func (s *keySet) ids() []string {
	ids := make([]string, len(s.keys))
	for i, k := range s.keys {
		ids[i] = k.id
	}
	return ids
}

// find gives a published key by its id, or nil.
func (s *keySet) find(id string) *key {
	for _, k := range s.keys {
		if k.id == id {
			return k
		}
	}
	return nil
}

// planned gives the set as it should be now: nil if it is so already. generate
// gives a new key, which signs from then.
func (s *keySet) planned(now time.Time, r Rotation, generate func(signsFrom time.Time) (*key, error)) (*keySet, error) {
	keys, changed := slices.Clone(s.keys), s.ring == ""
	for i, k := range keys {
		if _, is := s.published[k.id]; i > 0 && len(s.published) > 0 && !is && k.signsFrom.Add(settling).Before(now) {
			late := *k // it could not be published in time, so it begins only now
			late.signsFrom = now
			keys[i], changed = &late, true
		}
	}
	for len(keys) > 1 && keys[1].signsFrom.Add(r.Keep).Before(now) {
		keys, changed = keys[1:], true // its last token has died
	}
	from := now // the first key begins at once: nobody could know another
	if len(keys) > 0 {
		from = keys[len(keys)-1].signsFrom.Add(r.Every)
	}
	if len(keys) == 0 || !now.Before(from.Add(-r.Ahead)) {
		if len(keys) > 0 && from.Before(now.Add(r.Ahead)) {
			from = now.Add(r.Ahead)
		}
		k, err := generate(from)
		if err != nil {
			return nil, err
		}
		keys, changed = append(keys, k), true
	}
	if !changed {
		return nil, nil //nolint:nilnil // it is as it should be
	}
	return s.next(keys)
}

// next gives the set that follows this one.
func (s *keySet) next(keys []*key) (*keySet, error) {
	next, err := newKeySet(keys)
	if err == nil {
		next.ring, next.sequence, next.rotation = cmp.Or(s.ring, uuid.NewString()), s.sequence+1, s.rotation
	}
	return next, err
}

// ordered gives the set as admins want it: nil if it is so already. In the place of
// a revoked key the next one begins at once, or a new one; the revoked one goes
// when all have had the time to go over to that.
func (s *keySet) ordered(now time.Time, orders *mesh.KeyOrders, generate func(signsFrom time.Time) (*key, error)) (*keySet, error) {
	if len(s.keys) == 0 {
		return nil, nil //nolint:nilnil // the first is made as planned
	}
	current := 0
	for i, k := range s.keys {
		if !k.signsFrom.After(now) {
			current = i
		}
	}
	keys := slices.Clone(s.keys[:current+1])
	for _, k := range s.keys[current+1:] {
		if !orders.Revokes(k.id) {
			keys = append(keys, k)
		}
	}
	changed := len(keys) != len(s.keys)
	rotate := orders.Rotation != "" && orders.Rotation != s.rotation
	switch {
	case (rotate || orders.Revokes(keys[current].id)) && len(keys) > current+1:
		early := *keys[current+1]
		early.signsFrom = now
		keys[current+1], changed = &early, true
	case rotate || orders.Revokes(keys[current].id):
		k, err := generate(now)
		if err != nil {
			return nil, err
		}
		keys, changed = append(keys, k), true
	default:
		keys = slices.DeleteFunc(keys, func(k *key) bool {
			_, revoked := s.revoked[k.id]
			since, replaced := s.replaced(k.id)
			return revoked && replaced && !now.Before(since.Add(changeover))
		})
		changed = changed || len(keys) != len(s.keys)
	}
	if !changed {
		return nil, nil //nolint:nilnil // it is as it should be
	}
	next, err := s.next(keys)
	if err == nil {
		next.rotation = orders.Rotation
	}
	return next, err
}

// replaced says since when a revoked key has had a successor that signs in its
// place and when this was known, which may be later than now.
func (s *keySet) replaced(id string) (since time.Time, is bool) {
	for i := len(s.keys) - 1; i >= 0 && s.keys[i].id != id; i-- {
		by := s.keys[i]
		from := by.signsFrom
		if s.published != nil {
			at, is := s.published[by.id]
			if !is {
				continue
			}
			if settled := at.Add(settling); from.Before(settled) {
				from = settled
			}
		}
		if _, revoked := s.revoked[by.id]; !revoked && (!is || from.Before(since)) {
			since, is = from, true
		}
	}
	if noticed := s.revoked[id]; since.Before(noticed) {
		since = noticed
	}
	return since, is
}

// handsOut says whether tokens of a key may be handed out, and whether another
// should take their place soon.
func (s *keySet) handsOut(k *key, now time.Time) (may, replace bool) {
	if !s.has(k) || len(s.revoked) == 0 {
		return s.has(k), false
	}
	if _, revoked := s.revoked[k.id]; !revoked {
		return true, false
	}
	since, replaced := s.replaced(k.id)
	replaced = replaced && !now.Before(since)
	return !replaced || now.Before(since.Add(changeover/2)), replaced
}

// has says whether a key is still published.
func (s *keySet) has(k *key) bool {
	for _, one := range s.keys {
		if one == k || one.id == k.id {
			return true
		}
	}
	return false
}
