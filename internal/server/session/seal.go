package session

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"sync"
	"time"
)

// keyKept is how long the shared key is taken as it was last read.
const keyKept = time.Minute

// sealer encrypts and authenticates what browsers keep for us (AES-256-GCM), by
// the key that all servers of the mesh share.
type sealer struct {
	key func(context.Context) ([]byte, error)

	mu     sync.Mutex
	cached cipher.AEAD // guarded by mu; nil: not read yet
	readAt time.Time   // guarded by mu
}

var errSeal = errors.New("what the browser kept is not ours, or of an earlier key")

// seal turns a value into text; purpose keeps what is for one cookie out of others.
func (s *sealer) seal(ctx context.Context, purpose string, value any) (string, error) {
	aead, err := s.aead(ctx)
	if err != nil {
		return "", err
	}
	plain, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails: it ends the process instead
	return base64.RawURLEncoding.EncodeToString(aead.Seal(nonce, nonce, plain, []byte(purpose))), nil
}

// open reads what seal made. errSeal: it did not make this.
func (s *sealer) open(ctx context.Context, purpose, text string, into any) error {
	aead, err := s.aead(ctx)
	if err != nil {
		return err
	}
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(sealed) < aead.NonceSize() {
		return errSeal
	}
	plain, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], []byte(purpose))
	if err != nil || json.Unmarshal(plain, into) != nil {
		return errSeal
	}
	return nil
}

// aead reads the key unless it has done so just now. With etcd away, the one that
// was read last serves on. The lock is not held while it reads.
func (s *sealer) aead(ctx context.Context) (cipher.AEAD, error) {
	s.mu.Lock()
	cached, fresh := s.cached, time.Since(s.readAt) < keyKept
	s.mu.Unlock()
	if cached != nil && fresh {
		return cached, nil
	}
	key, err := s.key(ctx)
	if err != nil {
		if cached != nil {
			return cached, nil
		}
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	made, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cached, s.readAt = made, time.Now()
	return made, nil
}
