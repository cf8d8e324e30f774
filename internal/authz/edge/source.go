package edge

import (
	"strings"

	"github.com/heddle-mesh/heddle/internal/authz"
)

const cloudflareCookie = "CF_Authorization="

// fromCloudflare finds the token that Cloudflare Access adds: in its header, or
// else in the cookie of browsers. Which is there first is taken, good or bad: a
// bad one does not make the other one be tried. Cookies in two lines, which Envoy joins
// with a comma, no browser sends (RFC 6265, section 5.4); what follows it is not seen.
func fromCloudflare(v authz.Visit) string {
	if v.Assertion != "" {
		return v.Assertion
	}
	for part := range strings.SplitSeq(v.Cookie, ";") {
		if value, is := strings.CutPrefix(strings.TrimSpace(part), cloudflareCookie); is {
			return value
		}
	}
	return ""
}

// fromBearer finds the token of "Authorization: Bearer" (RFC 6750, section 2.1).
func fromBearer(v authz.Visit) string {
	scheme, token, _ := strings.Cut(v.Authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimLeft(token, " ")
}

// What proved a user goes no further: whoever has it is that user at every route
// that takes it. The same goes for the name that Cloudflare writes beside its token,
// which nothing signs.

// withoutCloudflare empties both places of the token, whichever was looked at.
func withoutCloudflare(user authz.User, v authz.Visit) authz.Visitor {
	out := authz.Visitor{User: user, Remove: []string{"cf-access-jwt-assertion", "cf-access-authenticated-user-email"}}
	if !strings.Contains(v.Cookie, cloudflareCookie) {
		return out
	}
	var kept []string
	for part := range strings.SplitSeq(v.Cookie, ";") {
		if part = strings.TrimSpace(part); !strings.Contains(part, cloudflareCookie) {
			kept = append(kept, part)
		}
	}
	if out.Cookie = strings.Join(kept, "; "); out.Cookie == "" {
		out.Remove = append(out.Remove, "cookie")
	}
	return out
}

func withoutBearer(user authz.User, _ authz.Visit) authz.Visitor {
	return authz.Visitor{User: user, Remove: []string{"authorization"}}
}
