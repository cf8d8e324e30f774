package authz

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// KeyringConfig says which keys sign, and for how long.
type KeyringConfig struct {
	Store    KeyStore
	Board    Board         // where the public keys are published before they sign; nil: they need not be
	Silent   bool          // nothing is published on Board; its orders are followed all the same
	Issuer   string        // "iss" of the tokens, as it is published
	Type     KeyType       // of the keys made from now on; default RSA2048
	Rotation Rotation      // zero fields take their defaults
	Poll     time.Duration // how often the store is read; default 1 s
	Now      func() time.Time
	Logger   *slog.Logger // default: discard
}

// Keyring holds the keys that sign and those that did. Replicas that share a
// store have the same ones within Poll.
type Keyring struct {
	cfg     KeyringConfig
	current atomic.Pointer[keySet] // empty while the keys may not be used

	// Only Load uses these.
	stored    []byte               // what was last read
	known     *keySet              // of it
	published map[string]time.Time // since when each key is known to be
	revoked   map[string]time.Time // since when each key is known to be
	looked    bool                 // at the board, once

	early atomic.Bool // the first keys of the mesh wait for the service to be announced

	mu      sync.Mutex
	changed chan struct{} // guarded by mu: closed when current changes
}

// NewKeyring makes a keyring, which holds nothing until [Keyring.Load].
func NewKeyring(cfg KeyringConfig) *Keyring {
	cfg.Rotation.Every = cmp.Or(cfg.Rotation.Every, 30*24*time.Hour)
	cfg.Rotation.Ahead = cmp.Or(cfg.Rotation.Ahead, time.Hour)
	cfg.Rotation.Keep = cmp.Or(cfg.Rotation.Keep, DefaultTokenLife+skew)
	cfg.Poll = cmp.Or(cfg.Poll, time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	k := &Keyring{cfg: cfg, known: &keySet{}, changed: make(chan struct{})}
	k.current.Store(k.known)
	return k
}

// Load reads the keys, makes the first or the next one when it is time, and
// publishes them. A conflict ([mesh.KindConflict]) says that another AuthZ
// service works with other keys, so that these may not be used.
func (k *Keyring) Load(ctx context.Context) error {
	for tries := 0; ; tries++ {
		again, err := k.load(ctx)
		if !again || ctx.Err() != nil {
			return err
		}
		if tries == 10 {
			return mesh.Unavailable(err, "the signing keys change all the time")
		}
	}
}

// load does it once. It has to be done again after each change, also when that
// was another replica's: what is there then is read anew.
func (k *Keyring) load(ctx context.Context) (again bool, err error) {
	// The board comes first: keys that are read after it are not older than what
	// a replica has published.
	var posted Posted
	if k.cfg.Board != nil {
		if posted, err = k.cfg.Board.Look(ctx); err != nil {
			return false, err
		}
	}
	data, revision, err := k.cfg.Store.Read(ctx)
	if err != nil {
		return false, err
	}
	set := k.known
	if revision != 0 && !bytes.Equal(data, k.stored) {
		if set, err = decodeKeySet(data); err != nil {
			return false, mesh.Unavailable(err, "read the signing keys")
		}
	}
	set = k.noted(set, posted)
	now := k.cfg.Now()
	next, err := set.ordered(now, &posted.Orders, k.generate)
	if next == nil && err == nil {
		next, err = set.planned(now, k.cfg.Rotation, k.generate)
	}
	if err != nil {
		return false, err
	}
	if next == nil && revision == 0 {
		next = set // the store lost them, so it is given them again
	}
	if next == nil {
		k.stored, k.known = data, set
		return k.agree(ctx, set, posted, revision)
	}
	if err := k.write(ctx, next, revision); err == nil || mesh.KindOf(err) == mesh.KindConflict {
		return true, err
	} else if revision == 0 {
		return false, err
	} else { // what there is goes on signing
		k.stored, k.known = data, set
		_, agreeing := k.agree(ctx, set, posted, revision)
		return false, errors.Join(err, agreeing)
	}
}

// write stores a set in the place of the one that has this revision.
func (k *Keyring) write(ctx context.Context, set *keySet, revision int64) error {
	encoded, err := set.encode()
	if err != nil {
		return err
	}
	return k.cfg.Store.Write(ctx, encoded, revision)
}

// agree publishes a set that is stored, and has it sign.
func (k *Keyring) agree(ctx context.Context, set *keySet, posted Posted, revision int64) (again bool, err error) {
	if !k.publishes(posted) {
		k.early.Store(false)
		k.use(set)
		return false, nil
	}
	raise, err := k.publish(ctx, set, posted)
	k.early.Store(errors.Is(err, errEarly))
	switch {
	case errors.Is(err, errEarly):
		k.use(set)
		return false, nil
	case errors.As(err, new(errForeign)):
		k.use(&keySet{})
		return false, &mesh.Error{Kind: mesh.KindConflict, Message: "use the signing keys", Err: err}
	case mesh.KindOf(err) == mesh.KindConflict:
		return true, err
	case err != nil:
		k.use(set)
		return false, err
	case raise > 0:
		next, err := set.next(set.keys)
		if err != nil {
			return false, err
		}
		next.sequence = max(next.sequence, raise+1)
		err = k.write(ctx, next, revision)
		return err == nil || mesh.KindOf(err) == mesh.KindConflict, err
	case !ours(posted.Keys, set.posting(k.cfg.Issuer)):
		return true, nil // it has been published just now, so that is seen
	}
	k.use(set)
	return false, nil
}

// use has a set sign from now on.
func (k *Keyring) use(set *keySet) {
	k.current.Store(set)
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.changed)
	k.changed = make(chan struct{})
}

// Able says whether sidecars may be told of the service: it has a key to sign with,
// or will as soon as they are.
func (k *Keyring) Able() bool { return k.early.Load() || k.Ready() }

// Await returns once [Keyring.Able] says so, or with ctx's error.
func (k *Keyring) Await(ctx context.Context, able bool) error {
	for {
		k.mu.Lock()
		changed := k.changed
		k.mu.Unlock()
		if k.Able() == able {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (k *Keyring) generate(signsFrom time.Time) (*key, error) {
	pkcs8, err := generateKey(k.cfg.Type)
	if err != nil {
		return nil, err
	}
	made, err := readKey(pkcs8, signsFrom)
	if err == nil {
		k.cfg.Logger.Info("made a signing key", "kid", made.id, "signsFrom", signsFrom.UTC())
	}
	return made, err
}

// Run keeps the keys up to date until ctx ends. While the store or the board is
// away, what is known goes on signing.
func (k *Keyring) Run(ctx context.Context) error {
	var last mesh.ErrorKind // of the error that is under way
	var said time.Time
	for {
		pause := k.cfg.Poll
		if k.early.Load() {
			pause = min(pause, 50*time.Millisecond)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		err := k.Load(ctx)
		kind := mesh.KindOf(err)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // it is asked to end
		case err == nil:
			if last != "" {
				k.cfg.Logger.Info("the signing keys are kept up to date again")
			}
		case kind == mesh.KindConflict && (kind != last || time.Since(said) > time.Minute): // loud, for no tokens are given
			said = time.Now()
			k.cfg.Logger.Error("no tokens are given", "error", err)
		case kind != mesh.KindConflict && last == "":
			k.cfg.Logger.Error("the signing keys cannot be kept up to date; the known ones go on", "error", err)
		}
		last = kind
		if err != nil {
			last = cmp.Or(kind, mesh.KindUnavailable)
		}
	}
}

// Ready says whether there is a key to sign with.
func (k *Keyring) Ready() bool { return k.current.Load().signing(k.cfg.Now()) != nil }

// JWKS gives the public keys as a JSON Web Key Set (RFC 7517).
func (k *Keyring) JWKS() []byte { return k.current.Load().jwks }

// Signing gives the id of the key that signs now, or "", and when the next one
// begins, zero as long as there is none.
func (k *Keyring) Signing() (id string, next time.Time) {
	set, now := k.current.Load(), k.cfg.Now()
	if signing := set.signing(now); signing != nil {
		id = signing.id
	}
	for _, one := range set.keys {
		if one.signsFrom.After(now) {
			return id, one.signsFrom
		}
	}
	return id, time.Time{}
}
