package authz

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Board is where the public keys are published for the sidecars. All AuthZ
// services of a mesh share it.
type Board interface {
	// Look says what is there now.
	Look(ctx context.Context) (Posted, error)
	// Post replaces the keys of revision keys.Meta.Revision (0: there are none),
	// and gives a conflict ([mesh.KindConflict]) when there are others by now.
	Post(ctx context.Context, keys mesh.TokenKeys) error
}

// Posted is what a [Board] holds.
type Posted struct {
	Keys   *mesh.TokenKeys // nil: none
	Others bool            // another AuthZ service is announced to sidecars
}

const (
	// settling is how long a key that has just been published does not sign yet,
	// if another can: sidecars have to be told of it.
	settling = 2 * time.Second
	// fresh is for how long published keys are somebody's who is at work, whether
	// announced or not: somewhat longer than an announcement outlives its service.
	fresh = 20 * time.Second
)

// errForeign is why a keyring does not publish: somebody else's keys are in force.
type errForeign struct{ reason string }

func (e errForeign) Error() string {
	return "another AuthZ service of this mesh signs with other keys or under another issuer, so this one gives no tokens: " + e.reason +
		"; all have to share one key store and one --issuer, so that sidecars take the tokens of each"
}

// posting is a key set as it is published.
func (s *keySet) posting(issuer string) mesh.TokenKeys {
	digest := sha256.New()
	_ = json.NewEncoder(digest).Encode(issuer) // a hash takes everything
	for _, k := range s.keys {
		_ = json.NewEncoder(digest).Encode(k.id)
	}
	return mesh.TokenKeys{
		Issuer: issuer, JWKS: s.jwks,
		Keyring: s.ring, Sequence: s.sequence, Digest: base64.RawURLEncoding.EncodeToString(digest.Sum(nil)),
	}
}

// ours says whether what is published is what we would publish.
func ours(published *mesh.TokenKeys, want mesh.TokenKeys) bool {
	return published != nil && published.Issuer == want.Issuer && published.Keyring == want.Keyring && published.Sequence == want.Sequence &&
		published.Digest == want.Digest && bytes.Equal(canonical(published.JWKS), canonical(want.JWKS))
}

// canonical brings equal key sets into one form, whoever wrote them.
func canonical(jwks []byte) []byte {
	var value any
	if err := json.Unmarshal(jwks, &value); err != nil {
		return jwks
	}
	data, err := json.Marshal(value) // sorts what objects hold
	if err != nil {
		return jwks
	}
	return data
}

// publish makes the board hold the set's public keys. Keys of another keyring, or
// of a state of this one that is not known here, are replaced only if nobody is
// at work with them. raise: the keyring's sequence has to be above that, for
// others to know which state is the later one. 0: it need not be raised.
func (k *Keyring) publish(ctx context.Context, set *keySet, posted Posted) (raise int64, err error) {
	want, p := set.posting(k.cfg.Issuer), posted.Keys
	if ours(p, want) {
		return 0, nil
	}
	if p != nil {
		want.Meta.Revision = p.Meta.Revision
		if reason := foreign(p, want); reason != "" {
			if posted.Others || k.cfg.Now().Sub(p.Meta.UpdatedAt).Abs() < fresh {
				return 0, errForeign{reason}
			}
			k.cfg.Logger.Warn("the published keys of tokens are replaced: no AuthZ service is at work with them", "reason", reason)
			if p.Keyring == want.Keyring && p.Sequence >= want.Sequence {
				return p.Sequence, nil
			}
		}
	}
	if err := k.cfg.Board.Post(ctx, want); err != nil {
		return 0, err
	}
	k.cfg.Logger.Info("published the public keys of tokens", "issuer", want.Issuer, "keys", set.ids())
	return 0, nil
}

// foreign says why published keys are not an earlier state of ours, or ours and
// changed by somebody who keeps none.
func foreign(p *mesh.TokenKeys, want mesh.TokenKeys) string {
	switch {
	case p.Keyring == "" || p.Keyring == want.Keyring && p.Sequence < want.Sequence && p.Issuer == want.Issuer:
		return ""
	case p.Issuer != want.Issuer && p.Digest != want.Digest:
		return fmt.Sprintf("the published issuer is %q, this one's %q", p.Issuer, want.Issuer)
	case p.Keyring != want.Keyring:
		return fmt.Sprintf("the published keys are of the key store %s, this one's is %s", p.Keyring, want.Keyring)
	case p.Sequence > want.Sequence:
		return fmt.Sprintf("the published keys are of a later state of the key store (%d, this one's is at %d), so this one is a copy or was restored from a backup", p.Sequence, want.Sequence)
	case p.Digest != want.Digest:
		return "the published keys are of a copy of the key store that has changed by itself"
	}
	return ""
}

// notes keeps since when each published key has been seen there: from when it may
// sign. What the first look finds was there long before.
func (k *Keyring) notes(set *keySet, posted Posted, first bool) map[string]time.Time {
	published := map[string]time.Time{}
	at := k.cfg.Now()
	if first {
		at = time.Time{}
	}
	for _, id := range publishedIDs(posted.Keys) {
		if set.find(id) == nil {
			continue
		}
		published[id] = at
		if before, is := k.published[id]; is {
			published[id] = before
		}
	}
	return published
}

// publishedIDs gives the ids of published keys.
func publishedIDs(p *mesh.TokenKeys) []string {
	var jwks jose.JSONWebKeySet
	if p == nil || json.Unmarshal(p.JWKS, &jwks) != nil {
		return nil
	}
	var ids []string
	for _, one := range jwks.Keys {
		// By what the key is, whatever it is called.
		if sum, err := one.Thumbprint(crypto.SHA256); err == nil {
			ids = append(ids, base64.RawURLEncoding.EncodeToString(sum))
		}
	}
	return ids
}
