package ui

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/server/session"
)

// signInView is the sign-in page.
type signInView struct {
	Next  string
	Fault string // of the token
	Must  bool   // reading needs it, too

	Provider string // where one signs in besides; "": nowhere
	Start    string // and where that begins
}

// signInForm gives the page, with what is wrong with the token.
func (u *UI) signInForm(next, fault string, status int) (*answer, error) {
	view := signInView{Next: next, Fault: fault, Must: u.cfg.RequireReadToken, Provider: u.cfg.Sessions.Provider(), Start: "/ui/oidc/start?next=" + url.QueryEscape(next)}
	return &answer{Template: "signin.html", Data: view, Status: status}, nil
}

func (u *UI) signInPage(r *request) (*answer, error) {
	next := ours(r.URL.Query().Get("next"))
	if r.User != nil {
		return &answer{To: next}, nil
	}
	return u.signInForm(next, "", http.StatusOK)
}

func (u *UI) signIn(r *request) (*answer, error) {
	next, secret := ours(r.PostForm.Get("next")), r.PostForm.Get("token")
	if secret == "" {
		return u.signInForm(next, "Paste an access token.", http.StatusUnprocessableEntity)
	}
	err := u.cfg.Sessions.SignIn(r.writer, r.Request, secret)
	switch {
	case errors.Is(err, session.ErrUnknownToken):
		return u.signInForm(next, "This access token is not known here. It may have been revoked, or belong to another mesh.", http.StatusUnprocessableEntity)
	case err != nil:
		return nil, err
	}
	return &answer{To: next}, nil
}

// oidcStart sends the browser to the provider.
func (u *UI) oidcStart(r *request) (*answer, error) {
	if u.cfg.Sessions.Provider() == "" {
		return u.nothingHere(r)
	}
	to, err := u.cfg.Sessions.Begin(r.writer, r.Request, ours(r.URL.Query().Get("next")))
	if err != nil {
		return nil, notSignedIn(err)
	}
	return &answer{To: to}, nil
}

// oidcCallback takes the browser back. Cookies of ours go with no request that
// another site began, redirects included, so a page of our own leads on.
func (u *UI) oidcCallback(r *request) (*answer, error) {
	if u.cfg.Sessions.Provider() == "" {
		return u.nothingHere(r)
	}
	next, err := u.cfg.Sessions.Finish(r.writer, r.Request)
	if err != nil {
		return nil, notSignedIn(err)
	}
	return &answer{Template: "signedin.html", Data: ours(next)}, nil
}

// notSignedIn says why somebody was not signed in by the provider.
func notSignedIn(err error) error {
	var e *mesh.Error
	switch {
	case !errors.As(err, &e):
		return err
	case e.Kind == mesh.KindUnavailable:
		return &problem{http.StatusBadGateway, "The sign-in provider cannot be asked", e.Message + "; the server's log says more. Access tokens work meanwhile."}
	}
	return &problem{http.StatusForbidden, "You are not signed in", e.Message}
}

func (u *UI) signOut(r *request) (*answer, error) {
	u.cfg.Sessions.SignOut(r.writer, r.Request)
	return &answer{To: "/ui/", Notice: "You are signed out."}, nil
}
