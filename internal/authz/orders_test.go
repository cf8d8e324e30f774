package authz

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/propertytest"
)

// order has the board's admin revoke keys or rotate.
func (b *memoryBoard) order(change func(*mesh.KeyOrders)) {
	b.set(func(p *Posted, _ *error) {
		change(&p.Orders)
		p.Orders.Meta.Revision++
	})
}

func revoke(id string, at time.Time) func(*mesh.KeyOrders) {
	return func(o *mesh.KeyOrders) { o.Revoked = append(o.Revoked, mesh.RevokedKey{ID: id, At: at}) }
}

// revokedWithin is the window that docs/authz.md promises: the replica that acts
// looks once a second.
const revokedWithin = time.Second + settling + changeover + time.Second

// Replicas that look at the board once a second, each at its own time, give tokens
// while keys are rotated and revoked. Sidecars know what was published half a second
// before. No token is refused by them, and soon none of a revoked key is published.
func TestKeysChangeWithoutARefusedToken(t *testing.T) {
	propertytest.Check(t, func(r *rapid.T) {
		store, now := &memoryStore{}, newClock()
		board := newMemoryBoard(now)
		ticking := func() time.Time { // no two looks at the clock are at the same time
			now.advance(10 * time.Microsecond)
			return now.Now()
		}
		var issuers []*Issuer
		var phases []int
		stop := make([]func(), 0)
		defer func() {
			for _, one := range stop {
				one()
			}
		}()
		const step = 100 * time.Millisecond
		for range rapid.IntRange(1, 3).Draw(r, "replicas") {
			k := loadedKeyring(t, KeyringConfig{Store: store, Board: board, Issuer: testIssuer, Type: EdDSA, Now: ticking})
			i, end := startedIssuer(t, IssuerConfig{Keys: k, Issuer: testIssuer, Now: now.Now})
			stop = append(stop, end)
			issuers = append(issuers, i)
			phases = append(phases, rapid.IntRange(0, 9).Draw(r, "phase"))
		}
		now.advance(10 * time.Second)
		known := [][]string{} // what was published, step by step
		revokedAt, last := map[string]time.Time{}, time.Time{}
		for n := range 200 {
			if rapid.IntRange(0, 30).Draw(r, "order") == 0 {
				current := issuers[0].cfg.Keys.current.Load()
				if rapid.Bool().Draw(r, "rotate") {
					board.order(func(o *mesh.KeyOrders) { o.Rotation = fmt.Sprint(n) })
				} else if id := rapid.SampledFrom(current.ids()).Draw(r, "revoked"); revokedAt[id].IsZero() {
					board.order(revoke(id, now.Now()))
					revokedAt[id], last = now.Now(), now.Now() // which may be the one that took another's place
				}
			}
			for j, i := range issuers {
				if n%10 == phases[j] {
					if err := i.cfg.Keys.Load(t.Context()); err != nil {
						r.Fatal(err)
					}
				}
			}
			posts := board.posts()
			known = append(known, publishedIDs(&posts[len(posts)-1]))
			for _, i := range issuers {
				pair := pairOf("web", fmt.Sprint(rapid.IntRange(0, 3).Draw(r, "callee")))
				token, err := i.Token(t.Context(), pair)
				if err != nil {
					r.Fatal(err)
				}
				for _, at := range []int{n, max(0, n-5)} { // a sidecar that is quick, and one that is not
					if !slices.Contains(known[at], token.key.id) {
						r.Fatalf("at %d a token is signed with %s; published were %v", n, token.key.id, known[at])
					}
				}
			}
			for id, at := range revokedAt {
				if now.Now().Sub(last) > revokedWithin && slices.Contains(known[n], id) {
					r.Fatalf("%s after it was revoked %s is published", now.Now().Sub(at), id)
				}
			}
			now.advance(step)
		}
	})
}

// What remembers a revoked key does not bring it back: a key folder of before, a
// replica that was cut off, a board that was restored, a token in memory.
func TestARevokedKeyDoesNotComeBack(t *testing.T) {
	t.Parallel()
	now := newClock()
	board := newMemoryBoard(now)
	dir := Dir(t.TempDir())
	cfg := KeyringConfig{Store: dir, Board: board, Issuer: testIssuer, Type: EdDSA, Now: now.Now}
	k, cutOff := loadedKeyring(t, cfg), loadedKeyring(t, cfg)
	first := k.current.Load().keys[0].id
	issuer := runIssuer(t, IssuerConfig{Keys: k, Issuer: testIssuer, Now: now.Now})
	pair := pairOf("web", "orders")
	if token, err := issuer.Token(t.Context(), pair); err != nil || token.key.id != first {
		t.Fatal(err)
	}
	stored, err := os.ReadFile(dir.file())
	if err != nil {
		t.Fatal(err)
	}
	before := board.posts()[0]
	board.order(revoke(first, now.Now()))
	settle := func(k *Keyring) {
		t.Helper()
		for range 8 {
			if err := k.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
			now.advance(time.Second)
		}
	}
	settle(k)
	gone := func(when string, k *Keyring) {
		t.Helper()
		if k.current.Load().find(first) != nil || published(board.posts(), first) || !k.Ready() {
			t.Errorf("%s: the revoked key is there", when)
		}
	}
	gone("when it was revoked", k)
	if token, err := issuer.Token(t.Context(), pair); err != nil || token.key.id == first {
		t.Errorf("a token of it is handed out: %v", err)
	}
	settle(cutOff)
	gone("a replica that comes back", cutOff)

	if err := os.WriteFile(dir.file(), stored, 0o600); err != nil {
		t.Fatal(err)
	}
	now.advance(time.Minute)
	settle(k)
	gone("the key folder was restored", k)
	settle(loadedKeyring(t, cfg))
	gone("a new service with the restored folder", k)

	board.set(func(p *Posted, _ *error) {
		before.Meta.Revision = p.Keys.Meta.Revision
		p.Keys = &before
	})
	settle(k)
	gone("what was published was restored", k)
}

func TestOrdersAreFollowedByAServiceThatPublishesNothing(t *testing.T) {
	t.Parallel()
	now := newClock()
	board := newMemoryBoard(now)
	k := loadedKeyring(t, KeyringConfig{Store: Dir(t.TempDir()), Board: board, Silent: true, Issuer: testIssuer, Now: now.Now})
	first := k.current.Load().signing(now.Now()).id
	board.order(revoke(first, now.Now()))
	for range 8 {
		if err := k.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		now.advance(time.Second)
	}
	if k.current.Load().find(first) != nil || !k.Ready() || len(board.posts()) != 0 {
		t.Errorf("%d posts, keys %v", len(board.posts()), k.current.Load().ids())
	}
}

func TestWithdrawnKeysAreNotPublished(t *testing.T) {
	t.Parallel()
	now := newClock()
	board := newMemoryBoard(now)
	k := loadedKeyring(t, KeyringConfig{Store: Dir(t.TempDir()), Board: board, Issuer: testIssuer, Now: now.Now})
	board.order(func(o *mesh.KeyOrders) { o.Withdrawn = true })
	board.set(func(p *Posted, _ *error) { p.Keys = nil })
	if err := k.Load(t.Context()); err != nil || len(board.posts()) != 1 {
		t.Errorf("%v: %d posts", err, len(board.posts()))
	}
	if !k.Ready() {
		t.Error("sidecars that ask for a moment still are given nothing")
	}
	board.order(func(o *mesh.KeyOrders) { o.Withdrawn = false })
	if err := k.Load(t.Context()); err != nil || len(board.posts()) != 2 || !k.Ready() {
		t.Errorf("%v: %d posts", err, len(board.posts()))
	}
}

// The first keys of a mesh have sidecars ask for tokens, so somebody has to be there.
func TestTheFirstKeysWaitUntilTheServiceIsAnnounced(t *testing.T) {
	t.Parallel()
	now := newClock()
	board := newMemoryBoard(now)
	board.set(func(p *Posted, _ *error) { p.Self = false })
	k := loadedKeyring(t, KeyringConfig{Store: Dir(t.TempDir()), Board: board, Issuer: testIssuer, Now: now.Now})
	if k.Ready() || !k.Able() || len(board.posts()) != 0 {
		t.Errorf("ready %v, able %v, %d posts", k.Ready(), k.Able(), len(board.posts()))
	}
	board.set(func(p *Posted, _ *error) { p.Self = true })
	if err := k.Load(t.Context()); err != nil || !k.Ready() || len(board.posts()) != 1 {
		t.Errorf("%v: ready %v, %d posts", err, k.Ready(), len(board.posts()))
	}
}
