package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// OIDC is a provider at which people sign in (OpenID Connect, authorization code
// flow with PKCE), and what its claims mean here.
type OIDC struct {
	Issuer       string
	ClientID     string
	ClientSecret string
	// OwnersClaim is the claim of the ID token whose values are owners, if something
	// belongs to them: who has one may write that.
	OwnersClaim string
	// Owners are values of that claim that are owners although nothing belongs to
	// them yet.
	Owners []string
	// Admins are values of that claim whose holders may write everything.
	Admins []string
	// OnlyKnown signs nobody in who has no owner, is no admin, and has no value of
	// that claim out of Readers.
	OnlyKnown bool
	Readers   []string
	// Scopes are asked for beside openid, email and profile.
	Scopes []string
	// RedirectURL is where the provider sends browsers back to, [CallbackPath] of
	// this server; "": as this server was called.
	RedirectURL string
	Client      *http.Client // asks the provider
}

// purpose seals the cookie of a session for this configuration: what was judged by
// another one is not taken.
func (c *OIDC) purpose() string {
	config, _ := json.Marshal([]any{c.Issuer, c.ClientID, c.OwnersClaim, c.Owners, c.Admins, c.OnlyKnown, c.Readers}) // texts always are JSON
	sum := sha256.Sum256(config)
	return sessionCookie + " " + base64.RawURLEncoding.EncodeToString(sum[:])
}

// CallbackPath is where the provider sends browsers back to.
const CallbackPath = "/ui/oidc/callback"

const (
	startCookie   = "heddle_sign_in"
	sessionCookie = "heddle_oidc"
	startTime     = 10 * time.Minute
)

// started is what a browser keeps while somebody is at the provider.
type started struct {
	State, Nonce, Verifier string
	Next                   string
	Ends                   time.Time
}

// provider is the provider, once it was asked who it is.
type provider struct {
	mu    sync.Mutex
	found *oidc.Provider // guarded by mu; nil: not asked yet
}

// discover asks the provider who it is, unless it has said so before. The lock is
// not held while it asks.
func (p *provider) discover(ctx context.Context, cfg *OIDC) (*oidc.Provider, error) {
	p.mu.Lock()
	found := p.found
	p.mu.Unlock()
	if found != nil {
		return found, nil
	}
	found, err := oidc.NewProvider(oidc.ClientContext(ctx, cfg.Client), cfg.Issuer)
	if err != nil {
		return nil, mesh.Unavailable(err, "the sign-in provider %s does not say who it is", cfg.Issuer)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.found = found
	return found, nil
}

// Provider names the OIDC provider for people; "": there is none.
func (s *Sessions) Provider() string {
	if s.cfg.OIDC == nil {
		return ""
	}
	issuer, err := url.Parse(s.cfg.OIDC.Issuer)
	if err != nil {
		return s.cfg.OIDC.Issuer
	}
	return issuer.Host
}

func (s *Sessions) flow(r *http.Request, found *oidc.Provider) *oauth2.Config {
	back := s.cfg.OIDC.RedirectURL
	if back == "" {
		scheme := "http://"
		if r.TLS != nil {
			scheme = "https://"
		}
		back = scheme + r.Host + CallbackPath // the server takes no Host that it does not go by
	}
	return &oauth2.Config{
		ClientID: s.cfg.OIDC.ClientID, ClientSecret: s.cfg.OIDC.ClientSecret, Endpoint: found.Endpoint(), RedirectURL: back,
		Scopes: append([]string{oidc.ScopeOpenID, "email", "profile"}, s.cfg.OIDC.Scopes...),
	}
}

// Begin gives the address at the provider where somebody signs in, and has the
// browser keep what [Sessions.Finish] needs; next is where it leads in the end, unless
// it is too long to be kept.
func (s *Sessions) Begin(w http.ResponseWriter, r *http.Request, next string) (string, error) {
	found, err := s.provider.discover(r.Context(), s.cfg.OIDC)
	if err != nil {
		s.logger.Warn("nobody can sign in at the provider", "error", err)
		return "", err
	}
	begun := started{State: random(), Nonce: random(), Verifier: oauth2.GenerateVerifier(), Next: next, Ends: s.now().Add(startTime)}
	kept, err := s.sealer.seal(r.Context(), startCookie, begun)
	if err == nil && len(kept) > mostCookie { // the browser would not keep it
		begun.Next = "/ui/"
		kept, err = s.sealer.seal(r.Context(), startCookie, begun)
	}
	if err != nil {
		return "", err
	}
	// Lax: the provider's redirect comes from another site.
	s.setCookie(w, r, startCookie, kept, startTime, http.SameSiteLaxMode)
	return s.flow(r, found).AuthCodeURL(begun.State, oidc.Nonce(begun.Nonce), oauth2.S256ChallengeOption(begun.Verifier)), nil
}

func random() string {
	data := make([]byte, 32)
	_, _ = rand.Read(data) // never fails: it ends the process instead
	return base64.RawURLEncoding.EncodeToString(data)
}

// Finish takes what the provider sends a browser back with, signs it in, and gives
// where it leads. Denied: it is no answer to a sign-in that this browser began, or
// none that the provider vouches for.
func (s *Sessions) Finish(w http.ResponseWriter, r *http.Request) (string, error) {
	next, author, err := s.finish(w, r)
	if err != nil {
		s.logger.Warn("a sign-in was refused", "remote", r.RemoteAddr, "error", err)
		return "", err
	}
	s.logger.Info("signed in", "author", author, "remote", r.RemoteAddr)
	return next, nil
}

func (s *Sessions) finish(w http.ResponseWriter, r *http.Request) (next, author string, err error) {
	var begun started
	kept := s.cookieValue(r, startCookie)
	s.endCookie(w, r, startCookie) // it is used up, whatever comes
	err = s.sealer.open(r.Context(), startCookie, kept, &begun)
	if err != nil && !errors.Is(err, errSeal) {
		return "", "", err
	}
	query := r.URL.Query()
	switch {
	case err != nil || s.now().After(begun.Ends):
		return "", "", mesh.Denied("the sign-in was not begun in this browser, or longer than %s ago: begin again", startTime)
	case subtle.ConstantTimeCompare([]byte(begun.State), []byte(query.Get("state"))) != 1:
		return "", "", mesh.Denied("the answer belongs to another sign-in (state): begin again")
	case query.Has("iss") && query.Get("iss") != s.cfg.OIDC.Issuer: // RFC 9207
		return "", "", mesh.Denied("the answer is of another provider (iss): begin again")
	case query.Has("error"):
		return "", "", mesh.Denied("the provider refused: %s %s", mesh.Cut(query.Get("error"), 100), mesh.Cut(query.Get("error_description"), 300))
	}
	found, err := s.provider.discover(r.Context(), s.cfg.OIDC)
	if err != nil {
		return "", "", err
	}
	ctx := oidc.ClientContext(r.Context(), s.cfg.OIDC.Client)
	tokens, err := s.flow(r, found).Exchange(ctx, query.Get("code"), oauth2.VerifierOption(begun.Verifier))
	if err != nil {
		var refused *oauth2.RetrieveError
		if errors.As(err, &refused) {
			return "", "", mesh.Denied("the provider does not take the code: it was used before, or has expired (%s)", mesh.Cut(refused.ErrorCode, 100))
		}
		return "", "", mesh.Unavailable(err, "the sign-in provider does not answer")
	}
	raw, _ := tokens.Extra("id_token").(string)
	verified, err := found.VerifierContext(ctx, &oidc.Config{ClientID: s.cfg.OIDC.ClientID}).Verify(ctx, raw)
	if err != nil {
		return "", "", mesh.Denied("the provider's ID token cannot be believed: %s", mesh.Cut(err.Error(), 300))
	}
	if subtle.ConstantTimeCompare([]byte(begun.Nonce), []byte(verified.Nonce)) != 1 {
		return "", "", mesh.Denied("the provider's ID token belongs to another sign-in (nonce): begin again")
	}
	who, err := s.cfg.OIDC.claims(verified, s.cfg.Owners())
	if err != nil {
		return "", "", err
	}
	who.Ends = s.now().Add(sessionTime)
	return begun.Next, who.Author, s.keep(w, r, who)
}
