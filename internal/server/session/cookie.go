package session

import (
	"net/http"
	"strings"
	"time"
)

// sessionTime is how long somebody stays signed in.
const sessionTime = 8 * time.Hour

const tokenCookie = "heddle_session"

// secure says whether browsers reach the pages over TLS: this server's, or that of a
// proxy before it, to which the provider sends them back.
func (s *Sessions) secure(r *http.Request) bool {
	return r.TLS != nil || s.cfg.OIDC != nil && strings.HasPrefix(strings.ToLower(s.cfg.OIDC.RedirectURL), "https:")
}

// cookieName is a cookie's name: over TLS one that no other host and no plain
// HTTP can have set (RFC 6265bis, "The __Host- Prefix").
func (s *Sessions) cookieName(r *http.Request, name string) string {
	if s.secure(r) {
		return "__Host-" + name
	}
	return name
}

func (s *Sessions) cookieValue(r *http.Request, name string) string {
	cookie, err := r.Cookie(s.cookieName(r, name))
	if err != nil {
		return ""
	}
	return cookie.Value
}

// setCookie gives the browser something that scripts cannot read. Strict, other
// sites cannot have it sent either.
func (s *Sessions) setCookie(w http.ResponseWriter, r *http.Request, name, value string, keep time.Duration, site http.SameSite) {
	http.SetCookie(w, &http.Cookie{
		Name: s.cookieName(r, name), Value: value, Path: "/", MaxAge: int(keep.Seconds()),
		Secure: s.secure(r), HttpOnly: true, SameSite: site,
	})
}

func (s *Sessions) endCookie(w http.ResponseWriter, r *http.Request, name string) {
	http.SetCookie(w, &http.Cookie{
		Name: s.cookieName(r, name), Path: "/", MaxAge: -1,
		Secure: s.secure(r), HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}
