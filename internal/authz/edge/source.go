package edge

import (
	"strings"

	"github.com/heddle-mesh/heddle/internal/authz"
)

// fromCloudflare finds the token that Cloudflare Access adds: in its header, or
// else in the cookie of browsers. Which is there first is taken, good or bad: a
// bad one does not make the other one be tried. Cookies in two lines, which Envoy joins
// with a comma, no browser sends (RFC 6265, section 5.4); what follows it is not seen.
func fromCloudflare(v authz.Visit) string {
	if v.Assertion != "" {
		return v.Assertion
	}
	for part := range strings.SplitSeq(v.Cookie, ";") {
		if value, is := strings.CutPrefix(strings.TrimSpace(part), "CF_Authorization="); is {
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
