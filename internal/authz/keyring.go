package authz

import (
	"bytes"
	"cmp"
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// KeyringConfig says which keys sign, and for how long.
type KeyringConfig struct {
	Store    KeyStore
	Type     KeyType       // of the keys made from now on; default RSA2048
	Rotation Rotation      // zero fields take their defaults
	Poll     time.Duration // how often the store is read; default 5 s
	Now      func() time.Time
	Logger   *slog.Logger // default: discard
}

// Keyring holds the keys that sign and those that did. Replicas that share a
// store have the same ones within Poll.
type Keyring struct {
	cfg     KeyringConfig
	current atomic.Pointer[keySet]
	stored  []byte // what current was read from; only Load uses it
}

// NewKeyring makes a keyring, which holds nothing until [Keyring.Load].
func NewKeyring(cfg KeyringConfig) *Keyring {
	cfg.Rotation.Every = cmp.Or(cfg.Rotation.Every, 30*24*time.Hour)
	cfg.Rotation.Ahead = cmp.Or(cfg.Rotation.Ahead, time.Hour)
	cfg.Rotation.Keep = cmp.Or(cfg.Rotation.Keep, DefaultTokenLife+skew)
	cfg.Poll = cmp.Or(cfg.Poll, 5*time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	k := &Keyring{cfg: cfg}
	k.current.Store(&keySet{})
	return k
}

// Load reads the keys, and makes the first or the next one when it is time.
func (k *Keyring) Load(ctx context.Context) error {
	for {
		data, revision, err := k.cfg.Store.Read(ctx)
		if err != nil {
			return err
		}
		set := k.current.Load()
		if revision != 0 && !bytes.Equal(data, k.stored) {
			if set, err = decodeKeySet(data); err != nil {
				return mesh.Unavailable(err, "read the signing keys")
			}
		}
		next, err := set.planned(k.cfg.Now(), k.cfg.Rotation, k.generate)
		if err != nil {
			return err
		}
		if next == nil && revision == 0 {
			next = set // the store lost them, so it is given them again
		}
		if next == nil {
			k.stored = data
			k.current.Store(set)
			return nil
		}
		encoded, err := next.encode()
		if err != nil {
			return err
		}
		// A conflict is another replica that did the same: its keys are read then.
		if err := k.cfg.Store.Write(ctx, encoded, revision); err != nil && mesh.KindOf(err) != mesh.KindConflict {
			if revision != 0 { // what there is goes on signing
				k.stored = data
				k.current.Store(set)
			}
			return err
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

// Run keeps the keys up to date until ctx ends. While the store is away, what
// is known goes on signing.
func (k *Keyring) Run(ctx context.Context) error {
	tick := time.NewTicker(k.cfg.Poll)
	defer tick.Stop()
	failed := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := k.Load(ctx)
		if err != nil && !failed && ctx.Err() == nil {
			k.cfg.Logger.Error("the signing keys cannot be kept up to date; the known ones go on", "error", err)
		}
		if err == nil && failed {
			k.cfg.Logger.Info("the signing keys are kept up to date again")
		}
		failed = err != nil
	}
}

// Ready says whether there is a key to sign with.
func (k *Keyring) Ready() bool { return k.current.Load().signing(k.cfg.Now()) != nil }

// JWKS gives the public keys as a JSON Web Key Set (RFC 7517).
func (k *Keyring) JWKS() []byte { return k.current.Load().jwks }
