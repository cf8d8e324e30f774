package authz

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Whatever is stored as the signing keys is refused, or can be stored again as the
// same keys.
func FuzzStoredKeys(f *testing.F) {
	for _, kind := range []KeyType{ES256, EdDSA} {
		pkcs8, err := generateKey(kind)
		if err != nil {
			f.Fatal(err)
		}
		k, err := readKey(pkcs8, newClock().Now())
		if err != nil {
			f.Fatal(err)
		}
		set, err := newKeySet([]*key{k})
		if err != nil {
			f.Fatal(err)
		}
		data, err := set.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"version":2,"keys":[]}`))
	f.Add([]byte(`{"version":1,"keys":[{"pkcs8":"AAAA","signsFrom":"2026-11-01T00:00:00Z"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := decodeKeySet(data)
		if err != nil {
			return
		}
		again, err := set.encode()
		if err != nil {
			return // a time that JSON does not know
		}
		same, err := decodeKeySet(again)
		if err != nil || string(same.jwks) != string(set.jwks) || same.ring != set.ring || same.sequence != set.sequence || same.rotation != set.rotation {
			t.Errorf("%s became %s (%v)", data, again, err)
		}
	})
}

// Whatever somebody writes where the keys are published, it is taken for ours only
// if a key of ours is there as it is, and nothing breaks.
func FuzzPublishedKeys(f *testing.F) {
	pkcs8, err := generateKey(ES256)
	if err != nil {
		f.Fatal(err)
	}
	k, err := readKey(pkcs8, newClock().Now())
	if err != nil {
		f.Fatal(err)
	}
	set, err := newKeySet([]*key{k})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(set.jwks)
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA","kid":"` + k.id + `"}]}`))
	f.Add([]byte(`{"keys":[{}]}`))
	want := set.posting(testIssuer)
	f.Fuzz(func(t *testing.T, jwks []byte) {
		p := want
		p.JWKS = jwks
		var value any
		if ours(&p, want) && (json.Unmarshal(jwks, &value) != nil || len(publishedIDs(&p)) != 1) {
			t.Errorf("%s is taken for ours", jwks)
		}
		k := NewKeyring(KeyringConfig{Board: &memoryBoard{}, Issuer: testIssuer})
		noted := k.noted(set, Posted{Keys: &p, Orders: mesh.KeyOrders{}})
		if signing := noted.signing(time.Now()); signing != nil && len(publishedIDs(&p)) == 0 {
			t.Errorf("with %s a key signs that is not published", jwks)
		}
	})
}
