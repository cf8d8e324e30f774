package authz

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
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
	// Post replaces the keys that a look found. It gives a conflict
	// ([mesh.KindConflict]) when there are others by now, or other orders.
	Post(ctx context.Context, keys mesh.TokenKeys, found Posted) error
}

// Posted is what a [Board] holds.
type Posted struct {
	Keys   *mesh.TokenKeys // nil: none
	Orders mesh.KeyOrders
	Self   bool // this AuthZ service is announced to sidecars
	Others bool // another one is
}

const (
	// settling is how long a key that has just been published does not sign yet,
	// if another can: sidecars have to be told of it.
	settling = 2 * time.Second
	// fresh is for how long published keys are somebody's who is at work, whether
	// announced or not: somewhat longer than an announcement outlives its service.
	fresh = 20 * time.Second
	// changeover is how long a revoked key stays published once another one signs.
	// In its first half each of its tokens that is asked for is replaced behind the
	// request, in its second half none is handed out: other replicas may be later
	// by a [KeyringConfig.Poll].
	changeover = 2 * time.Second
)

// errEarly is why the first keys of a mesh are not published yet: from then on
// sidecars ask for tokens, so there has to be somebody to ask.
var errEarly = errors.New("the AuthZ service is not announced to sidecars yet")

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
	var schedule []mesh.KeyTime
	for _, k := range s.keys {
		schedule = append(schedule, mesh.KeyTime{ID: k.id, SignsFrom: k.signsFrom.UTC()})
	}
	return mesh.TokenKeys{
		Issuer: issuer, JWKS: s.jwks, Schedule: schedule,
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
	if p == nil && !posted.Self {
		return 0, errEarly
	}
	if p != nil {
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
	if err := k.cfg.Board.Post(ctx, want, posted); err != nil {
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

// noted gives a set with what the board says of its keys.
func (k *Keyring) noted(set *keySet, posted Posted) *keySet {
	next := *set
	next.published = nil
	if len(next.keys) == 0 {
		next.rotation = posted.Orders.Rotation // the first key is new enough
	}
	now, revoked := k.cfg.Now(), map[string]time.Time{}
	for _, one := range set.keys {
		if posted.Orders.Revokes(one.id) {
			if revoked[one.id] = k.revoked[one.id]; revoked[one.id].IsZero() {
				revoked[one.id] = now
				k.cfg.Logger.Warn("a signing key is revoked", "kid", one.id)
			}
		}
	}
	k.revoked, next.revoked = revoked, revoked
	if k.publishes(posted) {
		next.published = map[string]time.Time{}
		for _, id := range publishedIDs(posted.Keys) {
			if set.find(id) == nil {
				continue
			}
			since, is := k.published[id]
			if !is && k.looked { // what the first look finds was there long before
				since = now
			}
			next.published[id] = since
		}
	}
	k.published, k.looked = next.published, true
	return &next
}

// publishes says whether the keys have to be published before they sign.
func (k *Keyring) publishes(posted Posted) bool {
	return k.cfg.Board != nil && !k.cfg.Silent && !posted.Orders.Withdrawn
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
