package ui

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/server/session"
	"github.com/heddle-mesh/heddle/internal/server/ui/form"
)

// tokenField is what somebody signs in with, in the page that keeps a form.
const tokenField = "~token"

// keptView is a page that keeps what was typed, for nobody was signed in any more,
// or nobody can tell who is.
type keptView struct {
	Path  string
	Kept  []form.Kept
	Away  bool   // the registry is
	Fault string // of the token
}

// form registers a page with a form, which needs somebody who is signed in. What
// was posted is kept in the page if there is nobody.
func (u *UI) form(pattern string, h handler) { u.boundedForm(pattern, maxForm, h) }

// objectForm is form with room for a whole object, for those who are signed in.
func (u *UI) objectForm(pattern string, h handler) { u.boundedForm(pattern, maxObject, h) }

func (u *UI) boundedForm(pattern string, most int64, h handler) {
	u.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		req := &request{Request: r, writer: w}
		room := most
		if user, err := u.cfg.Sessions.User(r); room > maxForm && r.Method == http.MethodPost && (user == nil || err != nil) {
			room = maxForm
		}
		if err := readForm(w, r, room); err != nil {
			u.fail(w, req, err)
			return
		}
		out, err := u.answerForm(req, h)
		u.auditRefused(r.Context(), req, err)
		if r.Header.Get("HX-Request") != "" && (err != nil || out.Status >= http.StatusBadRequest) {
			w.WriteHeader(http.StatusNoContent) // there is no part of the form to be had; forms.js asks for the page
			return
		}
		u.answer(w, req, out, err)
	})
}

func (u *UI) answerForm(r *request, h handler) (*answer, error) {
	view := keptView{Path: r.URL.Path}
	var err error
	if secret := r.PostForm.Get(tokenField); secret != "" {
		err = u.signInHere(r, secret)
		if errors.Is(err, session.ErrUnknownToken) {
			view.Fault, err = "This access token is not known here. It may have been revoked, or belong to another mesh.", nil
		} else if r.PostForm.Del(tokenField); err == nil {
			r.PostForm.Set("~do", "show")
			r.again = true
		}
	}
	if err == nil {
		r.User, err = u.cfg.Sessions.User(r.Request)
	}
	if r.Method != http.MethodPost {
		switch {
		case err != nil:
			return nil, err
		case r.User == nil:
			return &answer{To: signInFor(r.URL.RequestURI())}, nil
		}
		return h(r)
	}
	status := http.StatusUnauthorized
	switch {
	case err == nil && r.User != nil:
		return h(r)
	case mesh.KindOf(err) == mesh.KindUnavailable:
		view.Away, status = true, http.StatusServiceUnavailable
		u.logger.Warn("a page found something unavailable", "error", err)
	case err != nil:
		return nil, err
	}
	view.Kept = keptOf(r.PostForm)
	return &answer{Template: "kept.html", Data: view, Status: status}, nil
}

// signInHere signs somebody in with the request that also brings a form.
func (u *UI) signInHere(r *request, secret string) error {
	if err := u.cfg.Sessions.SignIn(r.writer, r.Request, secret); err != nil {
		return err
	}
	given, before := (&http.Response{Header: r.writer.Header()}).Cookies(), r.Cookies()
	r.Header.Del("Cookie")
	for _, cookie := range append(given, before...) { // the first of a name counts
		r.AddCookie(&http.Cookie{Name: cookie.Name, Value: cookie.Value})
	}
	return nil
}

// keptOf gives what was posted, each value of it.
func keptOf(posted url.Values) []form.Kept {
	var out []form.Kept
	for name, values := range posted {
		for _, text := range values {
			if name != tokenField {
				out = append(out, form.Kept{Name: name, Text: text})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b form.Kept) int {
		if a.Name < b.Name {
			return -1
		} else if a.Name > b.Name {
			return 1
		}
		return 0
	})
	return out
}
