package edge

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// A key that its issuer publishes for something else than to verify signatures is
// left out.
func TestKeysForOtherUsesAreLeftOut(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := json.Marshal(jose.JSONWebKey{Key: private.Public(), KeyID: "k"})
	if err != nil {
		t.Fatal(err)
	}
	for name, one := range map[string]struct {
		more  map[string]any
		taken bool
	}{
		"no word of its use":         {nil, true},
		"signatures":                 {map[string]any{"use": "sig"}, true},
		"encryption":                 {map[string]any{"use": "enc"}, false},
		"to verify":                  {map[string]any{"key_ops": []string{"verify"}}, true},
		"to sign and verify":         {map[string]any{"key_ops": []string{"sign", "verify"}}, true},
		"to encrypt":                 {map[string]any{"key_ops": []string{"encrypt"}}, false},
		"signatures, and to encrypt": {map[string]any{"use": "sig", "key_ops": []string{"encrypt"}}, false},
		"nothing":                    {map[string]any{"key_ops": []string{}}, false},
		"operations that are none":   {map[string]any{"key_ops": "verify"}, false},
	} {
		var key map[string]any
		if err := json.Unmarshal(plain, &key); err != nil {
			t.Fatal(err)
		}
		maps.Copy(key, one.more)
		data, err := json.Marshal(map[string]any{"keys": []any{key}})
		if err != nil {
			t.Fatal(err)
		}
		if set, err := readKeySet(data, asymmetric); (err == nil) != one.taken || (len(set) == 1) != one.taken {
			t.Errorf("%s: %d keys, %v", name, len(set), err)
		}
	}
}
