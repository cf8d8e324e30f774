package edge

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/json" // refuses an object that has a key twice

	"github.com/heddle-mesh/heddle/internal/authz"
)

// maxText bounds one thing that is said of a user, and maxUser all of it as JSON,
// in bytes: it goes on to the callee in a header.
const (
	maxText = 512
	maxUser = 8 << 10
)

// claims are what tokens of both kinds say.
type claims struct {
	Issuer    string   `json:"iss"`
	Audience  texts    `json:"aud"`
	Expires   *instant `json:"exp"`
	NotBefore *instant `json:"nbf"`
	IssuedAt  *instant `json:"iat"`

	Subject    string `json:"sub"`
	Email      string `json:"email"`
	CommonName string `json:"common_name"` // Cloudflare: the client id of a service token
}

// texts is one string or several, as "aud" may be (RFC 7519, section 4.1.3), and as
// some issuers write groups.
type texts []string

// UnmarshalJSON implements [json.Unmarshaler].
func (t *texts) UnmarshalJSON(data []byte) error {
	var one string
	if err := json.Unmarshal(data, &one); err == nil && len(data) > 0 && data[0] == '"' {
		*t = texts{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(t))
}

// instant is a NumericDate (RFC 7519, section 2), in seconds; fractions are cut off.
type instant int64

// lastInstant is the end of the year 9999.
const lastInstant = 253402300799

// UnmarshalJSON implements [json.Unmarshaler].
func (i *instant) UnmarshalJSON(data []byte) error {
	var seconds float64
	if err := json.Unmarshal(data, &seconds); err != nil {
		return err
	}
	if !(seconds >= 0 && seconds <= lastInstant) {
		return fmt.Errorf("%.40s is not a time in seconds since 1970", data)
	}
	*i = instant(seconds)
	return nil
}

func (i *instant) time() time.Time { return time.Unix(int64(*i), 0).UTC() }

// check says whether what a token says is true here and now.
func (v *validator) check(c *claims, audiences []string) error {
	now := v.now()
	switch {
	case c.Issuer != v.issuer:
		return &authz.Unproven{Reason: authz.WrongIssuer, Message: "the token comes from somebody else than whom this application trusts", Err: fmt.Errorf("iss %.200q, not %q", c.Issuer, v.issuer)}
	case !slices.ContainsFunc(c.Audience, func(one string) bool { return slices.Contains(audiences, one) }):
		return &authz.Unproven{Reason: authz.WrongAudience, Message: "the token is for another application", Err: fmt.Errorf("aud %.400q", []string(c.Audience))}
	case c.Expires == nil:
		return malformed("the token does not say when it ends", nil)
	case !now.Before(c.Expires.time().Add(v.skew)):
		return &authz.Unproven{Reason: authz.ExpiredToken, Message: "the token has expired: log in again", Err: fmt.Errorf("exp %s", c.Expires.time())}
	}
	for _, from := range []*instant{c.NotBefore, c.IssuedAt} {
		if from != nil && now.Add(v.skew).Before(from.time()) {
			return &authz.Unproven{Reason: authz.EarlyToken, Message: "the token is not valid yet: is a clock wrong?", Err: fmt.Errorf("valid from %s", from.time())}
		}
	}
	return nil
}

// cloudflareUser finds who a token of Cloudflare Access is about: a person, by
// "sub", or, where that is empty, a service token, by "common_name". Groups are
// where the application's settings put them, "groups" or "custom".
func cloudflareUser(c *claims, payload []byte) (authz.User, error) {
	if c.Subject == "" {
		if c.CommonName == "" {
			return authz.User{}, malformed("the token says neither who nor which service it is about", nil)
		}
		return authz.User{Service: c.CommonName}, nil
	}
	var more struct {
		Groups texts `json:"groups"`
		Custom struct {
			Groups texts `json:"groups"`
		} `json:"custom"`
	}
	if err := json.Unmarshal(payload, &more); err != nil {
		return authz.User{}, malformed("the token's groups cannot be read", err)
	}
	if more.Groups == nil {
		more.Groups = more.Custom.Groups
	}
	return authz.User{Subject: c.Subject, Email: c.Email, Groups: more.Groups}, nil
}

// oidcUser finds who a token of an OIDC issuer is about. An email that the issuer
// says it has not verified is left out: anybody may have typed it.
func oidcUser(groupsClaim string) func(*claims, []byte) (authz.User, error) {
	return func(c *claims, payload []byte) (authz.User, error) {
		if c.Subject == "" {
			return authz.User{}, malformed("the token does not say who it is about", nil)
		}
		var more map[string]json.RawMessage
		if err := json.Unmarshal(payload, &more); err != nil {
			return authz.User{}, malformed("the token's claims cannot be read", err)
		}
		user := authz.User{Subject: c.Subject, Email: c.Email}
		if verified, there := more["email_verified"]; there && strings.Trim(string(verified), `"`) != "true" {
			user.Email = ""
		}
		if groups, there := more[groupsClaim]; there {
			if err := json.Unmarshal(groups, (*texts)(&user.Groups)); err != nil {
				return authz.User{}, malformed("the token's groups cannot be read", err)
			}
		}
		return user, nil
	}
}

// fits refuses a user that would make the mesh's token too big for a header.
func fits(u authz.User) error {
	for _, one := range append([]string{u.Email, u.Subject, u.Service}, u.Groups...) {
		if len(one) > maxText {
			return malformed(fmt.Sprintf("the token has a name of %d bytes; at most %d are taken", len(one), maxText), nil)
		}
	}
	if size := len(u.Claim()); size > maxUser {
		return &authz.Unproven{
			Reason:  authz.TooManyGroups,
			Message: fmt.Sprintf("the token names %d groups, which are %d bytes; at most %d are taken: have the identity provider send fewer", len(u.Groups), size, maxUser),
		}
	}
	return nil
}
