package authz

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"pgregory.net/rapid"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/propertytest"
)

func TestEachTypeOfKeySignsAndVerifies(t *testing.T) {
	t.Parallel()
	for kind, algorithm := range map[KeyType]string{RSA2048: "RS256", RSA3072: "RS256", RSA4096: "RS256", ES256: "ES256", EdDSA: "EdDSA", "": "RS256"} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			pkcs8, err := generateKey(kind)
			if err != nil {
				t.Fatal(err)
			}
			now, p := time.Now(), pairOf("web", "orders")
			k, err := readKey(pkcs8, now)
			if err != nil {
				t.Fatal(err)
			}
			if string(k.algorithm) != algorithm {
				t.Errorf("it signs %s, want %s", k.algorithm, algorithm)
			}
			set, err := newKeySet([]*key{k})
			if err != nil {
				t.Fatal(err)
			}
			raw, _, err := k.mint(testIssuer, p, now, DefaultTokenLife)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := set.verify(raw, testIssuer, p, now); err != nil {
				t.Error(err)
			}
			for _, private := range []string{`"d"`, `"p"`, `"q"`} {
				if strings.Contains(string(set.jwks), private) {
					t.Errorf("the published set has the private %s: %s", private, set.jwks)
				}
			}
		})
	}
	if _, err := generateKey("rsa-1024"); mesh.KindOf(err) != mesh.KindInvalid {
		t.Errorf("a key of type rsa-1024: %v", err)
	}
}

// A token signed at any moment is verifiable by whoever fetched the key set up to
// five minutes before, until the token's end.
func TestRotationNeverFailsAToken(t *testing.T) {
	pkcs8, err := generateKey(ES256)
	if err != nil {
		t.Fatal(err)
	}
	propertytest.Check(t, func(t *rapid.T) {
		minute := func(name string, from, to int) time.Duration {
			return time.Duration(rapid.IntRange(from, to).Draw(t, name)) * time.Minute
		}
		const fetched, life = 5 * time.Minute, DefaultTokenLife
		r := Rotation{Every: minute("every", 30, 600), Ahead: minute("ahead", 6, 60), Keep: life + skew}
		serial := 0
		generate := func(from time.Time) (*key, error) {
			serial++
			k, err := readKey(pkcs8, from)
			k.id = string(rune('a'+serial%26)) + k.id
			return k, err
		}
		now := newClock().now
		set := &keySet{}
		seen := []*keySet{} // one each minute
		type issued struct {
			kid     string
			expires time.Time
		}
		var tokens []issued
		down, wasDown := 0, false
		for step := range 400 {
			if step > 0 && down == 0 && rapid.IntRange(0, 40).Draw(t, "falls") == 0 {
				down = rapid.IntRange(1, 120).Draw(t, "down") // nobody plans for so many minutes
			}
			if down > 0 {
				down, wasDown = down-1, true
			} else if next, err := set.planned(now, r, generate); err != nil {
				t.Fatal(err)
			} else if next != nil {
				set = next
			}
			seen = append(seen, set)
			signing := set.signing(now)
			if signing == nil {
				t.Fatal("no key signs")
			}
			if step > 5 {
				if old := seen[step-5]; old.find(signing.id) == nil {
					t.Fatalf("at minute %d a key signs that was not published %s before", step, fetched)
				}
			}
			tokens = append(tokens, issued{signing.id, now.Add(life)})
			tokens = slices.DeleteFunc(tokens, func(one issued) bool { return !now.Before(one.expires) })
			for _, one := range tokens {
				if set.find(one.kid) == nil {
					t.Fatalf("at minute %d the key of a living token is gone", step)
				}
			}
			if len(set.keys) > 3+int((r.Ahead+r.Keep)/r.Every) {
				t.Fatalf("%d keys are published", len(set.keys))
			}
			now = now.Add(time.Minute)
		}
		if want := int(400 * time.Minute / r.Every); !wasDown && serial < want {
			t.Errorf("%d keys were made, want %d", serial, want)
		}
	})
}

func TestReplicasAgreeOnTheFirstKey(t *testing.T) {
	t.Parallel()
	dir := Dir(filepath.Join(t.TempDir(), "keys"))
	rings := make([]*Keyring, 8)
	var group sync.WaitGroup
	for i := range rings {
		group.Go(func() {
			rings[i] = NewKeyring(KeyringConfig{Store: dir, Type: ES256})
			if err := rings[i].Load(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, k := range rings[1:] {
		if string(k.JWKS()) != string(rings[0].JWKS()) {
			t.Errorf("two replicas have different keys: %s and %s", rings[0].JWKS(), k.JWKS())
		}
	}
	info, err := os.Stat(dir.file())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of the keys: %v, %v", info.Mode(), err)
	}
}

func TestKeysSurviveTheirStore(t *testing.T) {
	t.Parallel()
	dir := Dir(t.TempDir())
	k := loadedKeyring(t, KeyringConfig{Store: dir})
	before := string(k.JWKS())
	if err := os.WriteFile(dir.file(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := k.Load(t.Context()); mesh.KindOf(err) != mesh.KindUnavailable {
		t.Errorf("keys that cannot be read: %v", err)
	}
	if string(k.JWKS()) != before || !k.Ready() {
		t.Error("what was known is gone with the store")
	}
	if err := os.Remove(dir.file()); err != nil {
		t.Fatal(err)
	}
	if err := k.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again := loadedKeyring(t, KeyringConfig{Store: dir}); string(again.JWKS()) != before {
		t.Error("the store was not given its keys again")
	}
}

func TestSealedKeysNeedTheirSecret(t *testing.T) {
	t.Parallel()
	dir := Dir(t.TempDir())
	secret := []byte(strings.Repeat("s", 32))
	store, err := NewSealed(dir, secret)
	if err != nil {
		t.Fatal(err)
	}
	first := loadedKeyring(t, KeyringConfig{Store: store})
	stored, err := os.ReadFile(dir.file())
	if err != nil || strings.Contains(string(stored), "pkcs8") {
		t.Errorf("the keys are stored readable (%v)", err)
	}
	if again := loadedKeyring(t, KeyringConfig{Store: store}); string(again.JWKS()) != string(first.JWKS()) {
		t.Error("the keys were not read again")
	}
	other, err := NewSealed(dir, []byte(strings.Repeat("x", 32)))
	if err != nil {
		t.Fatal(err)
	}
	if err := NewKeyring(KeyringConfig{Store: other}).Load(t.Context()); err == nil || !strings.Contains(err.Error(), "key file") {
		t.Errorf("with another secret: %v", err)
	}
	if after, _ := os.ReadFile(dir.file()); string(after) != string(stored) {
		t.Error("keys that could not be decrypted were replaced")
	}
	if _, err := NewSealed(dir, []byte("short")); mesh.KindOf(err) != mesh.KindInvalid {
		t.Errorf("a short secret: %v", err)
	}
}

func TestRunFindsTheKeysOfOthers(t *testing.T) {
	t.Parallel()
	dir, now := Dir(t.TempDir()), newClock()
	cfg := KeyringConfig{Store: dir, Now: now.Now, Poll: time.Millisecond}
	k := loadedKeyring(t, cfg)
	runUntilEnd(t, k.Run)
	now.advance(30*24*time.Hour - 30*time.Minute)
	loadedKeyring(t, KeyringConfig{Store: dir, Now: now.Now})
	eventually(t, "the next key is published", func() bool {
		var set jose.JSONWebKeySet
		return json.Unmarshal(k.JWKS(), &set) == nil && len(set.Keys) == 2
	})
}

// failing is a store that cannot be written, as etcd without a quorum.
type failing struct{ KeyStore }

func (failing) Write(context.Context, []byte, int64) error {
	return mesh.Unavailable(nil, "no quorum")
}

func TestRotationThatCannotBeStoredLeavesTheOldKey(t *testing.T) {
	t.Parallel()
	dir, now := Dir(t.TempDir()), newClock()
	loadedKeyring(t, KeyringConfig{Store: dir, Now: now.Now})
	now.advance(31 * 24 * time.Hour)
	k := NewKeyring(KeyringConfig{Store: failing{dir}, Type: ES256, Now: now.Now})
	if err := k.Load(t.Context()); mesh.KindOf(err) != mesh.KindUnavailable {
		t.Errorf("the store cannot be written: %v", err)
	}
	if !k.Ready() {
		t.Error("there is no key, though one is stored")
	}
}
