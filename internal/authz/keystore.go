package authz

import (
	"context"
	"crypto/cipher"
	"errors"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// KeyStore keeps the private keys, as one value.
type KeyStore interface {
	// Read gives the value and its revision; revision 0 means that there is none.
	Read(ctx context.Context) (value []byte, revision int64, err error)
	// Write replaces the value that has this revision. It gives a conflict
	// ([mesh.KindConflict]) when there is another one by now.
	Write(ctx context.Context, value []byte, revision int64) error
}

// Dir keeps keys in a file of mode 0600 in a folder.
type Dir string

func (d Dir) file() string { return filepath.Join(string(d), "signing-keys.json") }

// Read implements [KeyStore].
func (d Dir) Read(context.Context) ([]byte, int64, error) {
	data, err := os.ReadFile(d.file())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, mesh.Unavailable(err, "read the signing keys")
	}
	hash := fnv.New64a()
	_, _ = hash.Write(data) // never fails
	return data, int64(hash.Sum64()>>1) | 1, nil
}

// Write implements [KeyStore]. The first value is written only where there is
// none; of later ones the last to write wins, which harms nothing: a new key is
// published long before it signs.
func (d Dir) Write(ctx context.Context, value []byte, revision int64) error {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return mesh.Unavailable(err, "make the folder for the signing keys")
	}
	_, now, err := d.Read(ctx)
	if err != nil {
		return err
	}
	if now != revision {
		return mesh.Conflict("write the signing keys: somebody else did meanwhile")
	}
	beside, err := os.CreateTemp(string(d), ".keys-*") // of mode 0600
	if err != nil {
		return mesh.Unavailable(err, "write the signing keys")
	}
	defer func() { _ = os.Remove(beside.Name()) }()
	_, err = beside.Write(value)
	err = errors.Join(err, beside.Sync(), beside.Close())
	if err == nil && revision == 0 {
		if err = os.Link(beside.Name(), d.file()); errors.Is(err, fs.ErrExist) {
			return mesh.Conflict("write the signing keys: somebody else did meanwhile")
		}
	} else if err == nil {
		err = os.Rename(beside.Name(), d.file())
	}
	if err != nil {
		return mesh.Unavailable(err, "write the signing keys")
	}
	return nil
}

// Sealed keeps keys encrypted in another store.
type Sealed struct {
	store KeyStore
	aead  cipher.AEAD
}

// NewSealed makes a store that encrypts with a secret of at least 32 random bytes.
func NewSealed(store KeyStore, secret []byte) (*Sealed, error) {
	if len(secret) < 32 {
		return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: "encrypt the signing keys: the key file has to hold 32 bytes at least; make one with: openssl rand -hex 32"}
	}
	aead, err := newSeal(secret, "heddle authz: signing keys")
	return &Sealed{store: store, aead: aead}, err
}

// Read implements [KeyStore].
func (s *Sealed) Read(ctx context.Context) ([]byte, int64, error) {
	value, revision, err := s.store.Read(ctx)
	if err != nil || revision == 0 {
		return nil, 0, err
	}
	text, err := opened(s.aead, value, nil)
	if err != nil {
		return nil, 0, mesh.Unavailable(err, "decrypt the signing keys: is the key file the one that they were encrypted with?")
	}
	return text, revision, nil
}

// Write implements [KeyStore].
func (s *Sealed) Write(ctx context.Context, value []byte, revision int64) error {
	return s.store.Write(ctx, sealed(s.aead, value, nil), revision)
}
