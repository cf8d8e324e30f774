package authz

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json" // refuses an object that has a key twice
)

const (
	// skew is how far the clocks of this mesh may differ.
	skew = time.Minute
	// maxTokenSize bounds a token, in bytes: well above ours, well below what
	// Envoy takes as a header.
	maxTokenSize = 16 << 10
)

// verify says whether a token was signed by a key of the set, by this issuer, for
// this pair, and is valid now: nil error, and then its key and end.
func (s *keySet) verify(raw, issuer string, p Pair, now time.Time) (*key, time.Time, error) {
	k, said, err := s.open(raw)
	if err != nil {
		return nil, time.Time{}, err
	}
	expires := time.Unix(said.Expires, 0)
	switch {
	case said.Issuer != issuer:
		err = fmt.Errorf("it was issued by %q, not by %q", said.Issuer, issuer)
	case said.Subject != p.Caller:
		err = fmt.Errorf("its caller is %q, not %q", said.Subject, p.Caller)
	case said.Audience != p.Callee:
		err = fmt.Errorf("it is for %q, not for %q", said.Audience, p.Callee)
	case string(said.User) != p.User:
		err = errors.New("it names another user")
	case said.Expires == 0 || !now.Before(expires.Add(skew)):
		err = fmt.Errorf("it expired at %s", expires.UTC())
	case now.Add(skew).Before(time.Unix(said.NotBefore, 0)) || now.Add(skew).Before(time.Unix(said.IssuedAt, 0)):
		err = fmt.Errorf("it is not valid before %s", time.Unix(said.NotBefore, 0).UTC())
	}
	return k, expires, err
}

// open reads a token and checks its signature. Which algorithm and which key are
// ours to say: of the header only "kid" is used, to find a key of the set, and a
// header that brings a key or says where one is to be fetched is refused.
func (s *keySet) open(raw string) (*key, claims, error) {
	if len(raw) > maxTokenSize {
		return nil, claims{}, fmt.Errorf("it has %d bytes; at most %d are allowed", len(raw), maxTokenSize)
	}
	parsed, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA})
	if err != nil {
		return nil, claims{}, err
	}
	header := parsed.Signatures[0].Header
	for _, one := range []jose.HeaderKey{"jku", "x5u", "x5t", "x5t#S256", "crit"} {
		if _, there := header.ExtraHeaders[one]; there {
			return nil, claims{}, fmt.Errorf("its header has %q", one)
		}
	}
	if header.JSONWebKey != nil {
		return nil, claims{}, errors.New(`its header has "jwk"`)
	}
	if _, err := header.Certificates(x509.VerifyOptions{Roots: x509.NewCertPool()}); !errors.Is(err, jose.ErrMissingX5cHeader) {
		return nil, claims{}, errors.New(`its header has "x5c"`)
	}
	k := s.find(header.KeyID)
	if k == nil {
		return nil, claims{}, fmt.Errorf("no key has the id %q", header.KeyID)
	}
	if header.Algorithm != string(k.algorithm) {
		return nil, claims{}, fmt.Errorf("it is signed with %s, its key signs %s", header.Algorithm, k.algorithm)
	}
	payload, err := parsed.Verify(k.public.Key)
	if err != nil {
		return nil, claims{}, err
	}
	var said claims
	if err := json.Unmarshal(payload, &said); err != nil {
		return nil, claims{}, err
	}
	return k, said, nil
}
