package session

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// Config has what sessions need; Registry is required.
type Config struct {
	Registry *registry.Store
	OIDC     *OIDC // where people sign in beside access tokens; nil: nowhere
	// Owners says to whom something in the mesh belongs; needed with OIDC.
	Owners func() map[string]bool
	Clock  func() time.Time // default time.Now
	Logger *slog.Logger     // default: discard
}

// Sessions signs people in and out.
type Sessions struct {
	cfg      Config
	logger   *slog.Logger
	now      func() time.Time
	sealer   sealer
	provider provider
}

// New makes them; nothing is started.
func New(cfg Config) *Sessions {
	s := &Sessions{cfg: cfg, logger: cfg.Logger, now: cfg.Clock, sealer: sealer{key: cfg.Registry.SessionKey}}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	return s
}

// holder is what a cookie keeps of somebody who signed in with an access token.
type holder struct {
	Secret string    `json:"s"`
	Ends   time.Time `json:"e"`
}

// User finds who sends a request. It is nil when nobody is signed in, or nobody
// any more; an error means that nobody can tell.
func (s *Sessions) User(r *http.Request) (*User, error) {
	kept := s.cookieValue(r, tokenCookie)
	if kept == "" {
		return s.person(r)
	}
	var signed holder
	err := s.sealer.open(r.Context(), tokenCookie, kept, &signed)
	switch {
	case errors.Is(err, errSeal) || err == nil && s.now().After(signed.Ends):
		return nil, nil //nolint:nilnil // nobody any more
	case err != nil:
		return nil, err
	}
	token, err := s.cfg.Registry.Authenticate(r.Context(), signed.Secret)
	switch {
	case mesh.KindOf(err) == mesh.KindDenied:
		return nil, nil //nolint:nilnil // the token was revoked
	case err != nil:
		return nil, err
	}
	return &User{Token: token, Author: "token:" + token.ID}, nil
}

// person finds who signed in at the provider.
func (s *Sessions) person(r *http.Request) (*User, error) {
	kept := s.cookieValue(r, sessionCookie)
	if kept == "" || s.cfg.OIDC == nil {
		return nil, nil //nolint:nilnil // nobody is no error
	}
	var who person
	err := s.sealer.open(r.Context(), s.cfg.OIDC.purpose(), kept, &who)
	switch {
	case errors.Is(err, errSeal) || err == nil && s.now().After(who.Ends):
		return nil, nil //nolint:nilnil // nobody any more
	case err != nil:
		return nil, err
	}
	return who.user(), nil
}

// ErrUnknownToken says that what was given to sign in is no access token of this mesh.
var ErrUnknownToken = errors.New("this access token is not known here: it may have been revoked, or belong to another mesh")

// SignIn takes an access token, and has the browser keep it, encrypted.
func (s *Sessions) SignIn(w http.ResponseWriter, r *http.Request, secret string) error {
	secret = strings.TrimSpace(secret)
	token, err := s.cfg.Registry.Authenticate(r.Context(), secret)
	switch {
	case mesh.KindOf(err) == mesh.KindDenied:
		s.logger.Warn("a sign-in was refused", "remote", r.RemoteAddr)
		return ErrUnknownToken
	case err != nil:
		return err
	}
	kept, err := s.sealer.seal(r.Context(), tokenCookie, holder{secret, s.now().Add(sessionTime)})
	if err != nil {
		return err
	}
	s.setCookie(w, r, tokenCookie, kept, sessionTime, http.SameSiteStrictMode)
	s.endCookie(w, r, sessionCookie)
	s.logger.Info("signed in", "author", "token:"+token.ID, "remote", r.RemoteAddr)
	return nil
}

// SignOut ends the session of a browser.
func (s *Sessions) SignOut(w http.ResponseWriter, r *http.Request) {
	s.endCookie(w, r, tokenCookie)
	s.endCookie(w, r, sessionCookie)
}
