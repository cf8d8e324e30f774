package authz

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/propertytest"
)

// memoryBoard is a board that remembers what was posted.
type memoryBoard struct {
	now func() time.Time

	mu     sync.Mutex
	posted Posted           // guarded by mu
	all    []mesh.TokenKeys // guarded by mu
	away   error            // guarded by mu
}

func newMemoryBoard(c *clock) *memoryBoard {
	return &memoryBoard{now: c.Now, posted: Posted{Self: true}}
}

func (b *memoryBoard) Look(context.Context) (Posted, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.posted, b.away
}

func (b *memoryBoard) Post(_ context.Context, keys mesh.TokenKeys, found Posted) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away != nil {
		return b.away
	}
	if found.Keys != b.posted.Keys || found.Orders.Meta.Revision != b.posted.Orders.Meta.Revision {
		return mesh.Conflict("there are others")
	}
	at := int64(len(b.all))
	keys.Meta = mesh.Meta{Revision: at + 1, UpdatedAt: b.now()}
	b.posted.Keys = &keys
	b.all = append(b.all, keys)
	return nil
}

// memoryStore is a key store without a disk.
type memoryStore struct {
	value    []byte
	revision int64
}

func (s *memoryStore) Read(context.Context) ([]byte, int64, error) { return s.value, s.revision, nil }

func (s *memoryStore) Write(_ context.Context, value []byte, revision int64) error {
	if revision != s.revision {
		return mesh.Conflict("somebody else did")
	}
	s.value, s.revision = value, revision+1
	return nil
}

// set changes what the board holds by another hand than a keyring's.
func (b *memoryBoard) set(change func(*Posted, *error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.posted, &b.away)
}

func (b *memoryBoard) posts() []mesh.TokenKeys {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.all)
}

func published(keys []mesh.TokenKeys, kid string) bool {
	return len(keys) > 0 && slices.Contains(publishedIDs(&keys[len(keys)-1]), kid)
}

func TestNoKeySignsBeforeItIsPublished(t *testing.T) {
	t.Parallel()
	now := newClock()
	board := newMemoryBoard(now)
	away := mesh.Unavailable(nil, "no quorum")
	board.set(func(_ *Posted, err *error) { *err = away })
	cfg := KeyringConfig{Store: Dir(t.TempDir()), Board: board, Issuer: testIssuer, Type: ES256, Now: now.Now}
	k := NewKeyring(cfg)
	if err := k.Load(t.Context()); mesh.KindOf(err) != mesh.KindUnavailable || k.Ready() {
		t.Errorf("nothing can be published: %v, ready %v", err, k.Ready())
	}
	board.set(func(_ *Posted, err *error) { *err = nil })
	if err := k.Load(t.Context()); err != nil || !k.Ready() {
		t.Fatalf("%v, ready %v", err, k.Ready())
	}
	posts := board.posts()
	if len(posts) != 1 || posts[0].Issuer != testIssuer || !bytes.Equal(posts[0].JWKS, k.JWKS()) {
		t.Fatalf("published: %+v", posts)
	}
	first := k.current.Load().signing(now.Now())

	// The next one cannot be published until long after it should have begun.
	now.advance(30*24*time.Hour - 30*time.Minute)
	k.cfg.Board = lookOnly{board}
	_ = k.Load(t.Context())
	now.advance(5 * time.Hour)
	_ = k.Load(t.Context())
	if got := k.current.Load().signing(now.Now()); got.id != first.id {
		t.Errorf("a key signs that is not published")
	}
	k.cfg.Board = board
	if err := k.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := k.current.Load().signing(now.Now()); got.id != first.id || !published(board.posts(), first.id) {
		t.Errorf("the next key signs before sidecars can know it, or the first is gone, whose tokens live")
	}
	now.advance(settling)
	if got := k.current.Load().signing(now.Now()); got.id == first.id {
		t.Error("the next key never begins")
	}
	now.advance(DefaultTokenLife)
	if err := k.Load(t.Context()); err != nil || !published(board.posts(), first.id) {
		t.Errorf("the first key is gone, whose last tokens live (%v)", err)
	}
}

// lookOnly is a board that cannot be written.
type lookOnly struct{ Board }

func (lookOnly) Post(context.Context, mesh.TokenKeys, Posted) error {
	return mesh.Unavailable(nil, "no quorum")
}

func TestWhatOthersWriteOverTheKeysIsMended(t *testing.T) {
	t.Parallel()
	now := newClock()
	board := newMemoryBoard(now)
	k := loadedKeyring(t, KeyringConfig{Store: Dir(t.TempDir()), Board: board, Issuer: testIssuer, Now: now.Now})
	for name, change := range map[string]func(*mesh.TokenKeys){
		"other keys":                 func(p *mesh.TokenKeys) { p.JWKS = json.RawMessage(`{"keys":[{"kid":"x"}]}`) },
		"one that cannot be read":    func(p *mesh.TokenKeys) { *p = mesh.TokenKeys{Meta: p.Meta} },
		"another issuer":             func(p *mesh.TokenKeys) { p.Issuer = "https://evil.example" },
		"by hand, without a keyring": func(p *mesh.TokenKeys) { p.Keyring, p.Digest, p.JWKS = "", "", json.RawMessage(`{"keys":[{}]}`) },
	} {
		board.set(func(p *Posted, _ *error) {
			changed := *p.Keys
			change(&changed)
			p.Keys, p.Others = &changed, true
		})
		if err := k.Load(t.Context()); err != nil || !k.Ready() {
			t.Errorf("%s: %v", name, err)
		}
		if posts := board.posts(); !bytes.Equal(posts[len(posts)-1].JWKS, k.JWKS()) || posts[len(posts)-1].Issuer != testIssuer {
			t.Errorf("%s: it was left there: %+v", name, posts[len(posts)-1])
		}
	}
	board.set(func(p *Posted, _ *error) { p.Keys.JWKS = append([]byte(" "), p.Keys.JWKS...) })
	before := len(board.posts())
	if err := k.Load(t.Context()); err != nil || len(board.posts()) != before {
		t.Errorf("equal keys in another form were written anew (%v)", err)
	}
}

func TestOtherKeysInTheSameMeshAreNotUsed(t *testing.T) {
	t.Parallel()
	restored := func(dir Dir) []byte {
		data, err := os.ReadFile(dir.file())
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for name, second := range map[string]struct {
		config func(t *testing.T, first *Keyring, now *clock) KeyringConfig
		said   string
	}{
		"another key store": {func(t *testing.T, _ *Keyring, _ *clock) KeyringConfig {
			return KeyringConfig{Store: Dir(t.TempDir()), Issuer: testIssuer}
		}, "key store"},
		"another issuer": {func(_ *testing.T, first *Keyring, _ *clock) KeyringConfig {
			return KeyringConfig{Store: first.cfg.Store, Issuer: "https://other.test"}
		}, "issuer"},
		"a copy that went its own way": {func(t *testing.T, first *Keyring, now *clock) KeyringConfig {
			dir := Dir(t.TempDir())
			if err := dir.Write(t.Context(), restored(first.cfg.Store.(Dir)), 0); err != nil {
				t.Fatal(err)
			}
			now.advance(30*24*time.Hour - time.Minute)
			if err := first.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
			loadedKeyring(t, KeyringConfig{Store: dir, Now: now.Now})
			return KeyringConfig{Store: dir, Issuer: testIssuer}
		}, "copy"},
		"a store of long ago": {func(t *testing.T, first *Keyring, now *clock) KeyringConfig {
			dir := Dir(t.TempDir())
			if err := dir.Write(t.Context(), restored(first.cfg.Store.(Dir)), 0); err != nil {
				t.Fatal(err)
			}
			now.advance(30*24*time.Hour - time.Minute)
			if err := first.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
			now.advance(-24 * time.Hour)
			return KeyringConfig{Store: dir, Issuer: testIssuer}
		}, "backup"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := newClock()
			board := newMemoryBoard(now)
			first := loadedKeyring(t, KeyringConfig{Store: Dir(t.TempDir()), Board: board, Issuer: testIssuer, Now: now.Now})
			cfg := second.config(t, first, now)
			cfg.Board, cfg.Now, cfg.Type = board, now.Now, ES256
			other := NewKeyring(cfg)
			refused := func(when string) {
				t.Helper()
				before := len(board.posts())
				err := other.Load(t.Context())
				if mesh.KindOf(err) != mesh.KindConflict || !strings.Contains(err.Error(), second.said) {
					t.Errorf("%s: %v", when, err)
				}
				if other.Ready() || len(board.posts()) != before {
					t.Errorf("%s: it signs or publishes", when)
				}
			}
			board.set(func(p *Posted, _ *error) { p.Keys.Meta.UpdatedAt = now.Now() })
			refused("the first has just published")
			now.advance(time.Minute)
			board.set(func(p *Posted, _ *error) { p.Others = true })
			refused("the first is announced")
			if err := first.Load(t.Context()); err != nil || !first.Ready() {
				t.Errorf("the first one: %v", err)
			}
			board.set(func(p *Posted, _ *error) { p.Others = false })
			if err := other.Load(t.Context()); err != nil || !other.Ready() {
				t.Fatalf("nobody else is at work: %v", err)
			}
			posts := board.posts()
			if last := posts[len(posts)-1]; last.Issuer != cfg.Issuer || !bytes.Equal(last.JWKS, other.JWKS()) {
				t.Errorf("published: %+v", last)
			}
			now.advance(time.Second)
			if err := first.Load(t.Context()); mesh.KindOf(err) != mesh.KindConflict || first.Ready() {
				t.Errorf("the first one, when it comes back: %v", err)
			}
		})
	}
}

// Keyrings that share a store, of which some come late or stand still for a while,
// publish each state once, in order, and sign only with what is published.
func TestKeyringsThatShareAStoreDoNotFight(t *testing.T) {
	propertytest.Check(t, func(r *rapid.T) {
		store, now := &memoryStore{}, newClock()
		board := newMemoryBoard(now)
		rings := make([]*Keyring, rapid.IntRange(1, 4).Draw(r, "services"))
		for i := range rings {
			rings[i] = NewKeyring(KeyringConfig{Store: store, Board: board, Issuer: testIssuer, Type: EdDSA, Now: now.Now, Rotation: Rotation{Every: time.Hour, Ahead: 10 * time.Minute}})
		}
		for range rapid.IntRange(1, 60).Draw(r, "steps") {
			k := rapid.SampledFrom(rings).Draw(r, "who")
			if err := k.Load(t.Context()); err != nil {
				r.Fatal(err)
			}
			set := k.current.Load()
			if signing := set.signing(now.Now()); signing == nil || !published(board.posts(), signing.id) {
				r.Fatalf("it signs with %v", signing)
			}
			board.set(func(p *Posted, _ *error) { p.Others = len(rings) > 1 })
			now.advance(time.Duration(rapid.IntRange(0, 20*60).Draw(r, "seconds")) * time.Second)
		}
		var last int64
		for _, one := range board.posts() {
			if one.Sequence <= last {
				r.Fatalf("state %d was published after %d", one.Sequence, last)
			}
			last = one.Sequence
		}
	})
}
