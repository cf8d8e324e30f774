package edge

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"github.com/heddle-mesh/heddle/internal/authz"
)

// maxToken bounds a token, in bytes.
const maxToken = 16 << 10

// open checks a token's signature and gives what it says. Which algorithms and
// keys are taken is ours to say: of the header only "kid" is used, to find a key
// among those of the issuer, and a header that brings a key or says where one is
// to be had is refused.
func (v *validator) open(ctx context.Context, raw string) ([]byte, error) {
	if len(raw) > maxToken {
		return nil, malformed(fmt.Sprintf("the token has %d bytes; at most %d are taken", len(raw), maxToken), nil)
	}
	parsed, err := jose.ParseSignedCompact(raw, v.allowed)
	if err != nil {
		var algorithm *jose.ErrUnexpectedSignatureAlgorithm
		if errors.As(err, &algorithm) {
			return nil, malformed("the token is signed in a way that is not taken here", fmt.Errorf("algorithm %.40q", algorithm.Got))
		}
		return nil, malformed("what was sent is not a signed token", err)
	}
	header := parsed.Signatures[0].Header
	if err := plainHeader(header); err != nil {
		return nil, malformed("the token's header has what is not taken here", err)
	}
	if header.KeyID == "" || len(header.KeyID) > maxKid {
		return nil, malformed("the token does not say by which key it is signed", nil)
	}
	key, err := v.keys.find(ctx, header.KeyID)
	if errors.Is(err, errUnknownKey) {
		return nil, &authz.Unproven{Reason: authz.UnknownKey, Message: "the token is signed with a key that its issuer does not publish: log in again", Err: fmt.Errorf("kid %.100q", header.KeyID)}
	}
	if err != nil {
		return nil, err
	}
	if key.Algorithm != "" && key.Algorithm != header.Algorithm {
		return nil, malformed("the token is signed in a way that is not its key's", fmt.Errorf("algorithm %.40q, the key's is %q", header.Algorithm, key.Algorithm))
	}
	payload, err := parsed.Verify(key.Key)
	if err != nil {
		return nil, &authz.Unproven{Reason: authz.WrongSignature, Message: "the token's signature is wrong", Err: err}
	}
	return payload, nil
}

// plainHeader finds what could make a careless reader use another key. Thumbprints
// (x5t) are left out: some issuers send them, and nothing here reads them.
func plainHeader(header jose.Header) error {
	for _, one := range []jose.HeaderKey{"jku", "x5u", "crit"} {
		if _, there := header.ExtraHeaders[one]; there {
			return fmt.Errorf("its header has %q", one)
		}
	}
	if header.JSONWebKey != nil {
		return errors.New(`its header has "jwk"`)
	}
	if _, err := header.Certificates(x509.VerifyOptions{Roots: x509.NewCertPool()}); !errors.Is(err, jose.ErrMissingX5cHeader) {
		return errors.New(`its header has "x5c"`)
	}
	return nil
}

func malformed(message string, err error) error {
	return &authz.Unproven{Reason: authz.MalformedToken, Message: message, Err: err}
}
