package ui

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/server/session"
)

// Bounds of what is posted, in bytes: of a form of an object, as in the API; and of
// everything else, also of an object's form by nobody who is signed in.
const (
	maxObject = 1 << 20
	maxForm   = 64 << 10
)

// request is a request for a page.
type request struct {
	*http.Request
	User *session.User // nil: nobody is signed in, or nobody can tell now

	unknown error // why nobody can tell who is signed in; nil: it is known

	writer  http.ResponseWriter
	refused error // what a page that is answered says that it was not done for; see told

	again bool // somebody has just signed in with what was posted: it is to be shown, and nothing done
}

// answer is what a page's handler gives: a page, a file, or, with To, another place.
type answer struct {
	Template string // "services.html"
	Data     any
	Status   int // 0: 200

	File        []byte // instead of a page
	ContentType string

	To     string // where the browser is sent on to
	Notice string // shown there, once
}

// done sends the browser on, with a sentence about what was done.
func done(to, notice string) (*answer, error) { return &answer{To: to, Notice: notice}, nil }

// handler answers one request.
type handler func(*request) (*answer, error)

// handle registers a page: for readers, if reading needs no sign-in, and for those
// who are signed in, if it changes something.
func (u *UI) handle(pattern string, h handler) {
	u.open(pattern, func(r *request) (*answer, error) {
		reads := r.Method == http.MethodGet || r.Method == http.MethodHead
		switch {
		case r.User != nil, reads && !u.cfg.RequireReadToken:
			return h(r)
		case reads:
			return &answer{To: signInFor(r.URL.RequestURI())}, nil
		}
		return nil, &problem{http.StatusUnauthorized, "Sign in first", "Nothing was changed: this needs somebody who is signed in. You may have been signed out meanwhile; what you typed is still there when you go back."}
	})
}

// open registers a page that everybody may see.
func (u *UI) open(pattern string, h handler) {
	u.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		req := &request{Request: r, writer: w}
		err := readForm(w, r, maxForm)
		if err == nil {
			req.User, err = u.user(r.Context(), req)
		}
		if err != nil {
			u.fail(w, req, err)
			return
		}
		out, err := h(req)
		u.auditRefused(r.Context(), req, err)
		u.answer(w, req, out, err)
	})
}

// userWait bounds how long a page that everybody may see waits for who looks at it.
const userWait = time.Second

// user finds who sends a request. A page that everybody may see is shown as to
// nobody while nobody can tell.
func (u *UI) user(ctx context.Context, r *request) (*session.User, error) {
	open := strings.HasPrefix(r.URL.Path, "/ui/sign-") || r.URL.Path == "/ui/theme"
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case open && !reads:
		return nil, nil //nolint:nilnil // it is the same for all
	case !reads || u.cfg.RequireReadToken && !open:
		return u.cfg.Sessions.User(r.Request)
	}
	ctx, cancel := context.WithTimeout(ctx, userWait)
	defer cancel()
	user, err := u.cfg.Sessions.User(r.WithContext(ctx))
	if mesh.KindOf(err) == mesh.KindUnavailable {
		u.logger.Warn("a page is shown as to nobody", "error", err)
		r.unknown = err
		return nil, nil //nolint:nilnil // as to nobody
	}
	return user, err
}

// readForm reads what was posted, up to so many bytes.
func readForm(w http.ResponseWriter, r *http.Request, most int64) error {
	if r.Method != http.MethodPost {
		return nil
	}
	r.Body = http.MaxBytesReader(w, r.Body, most)
	err := r.ParseForm()
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large) && most < maxObject:
		return &problem{http.StatusRequestEntityTooLarge, "The form is too large", "It is larger than 64 KiB; one of a service or a route may have 1 MiB, when you are signed in. Nothing was changed; what you typed is still there when you go back."}
	case errors.As(err, &large):
		return &problem{http.StatusRequestEntityTooLarge, "The form is too large", "It is larger than 1 MiB. Nothing was changed; what you typed is still there when you go back."}
	case err != nil:
		return &problem{http.StatusBadRequest, "The form could not be read", "It was cut off, or is none. Nothing was changed."}
	}
	// The server bounds how long a body may take; see its expectBody.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // a transport without deadlines has its own
	return nil
}

// answer sends what a handler gave.
func (u *UI) answer(w http.ResponseWriter, r *request, out *answer, err error) {
	switch {
	case err != nil:
		u.fail(w, r, err)
	case out.To != "":
		if out.Notice != "" {
			setNotice(w, out.Notice)
		}
		http.Redirect(w, r.Request, out.To, http.StatusSeeOther)
	case out.File != nil:
		w.Header().Set("Content-Type", out.ContentType)
		_, _ = w.Write(out.File) // a client that left is no error of ours
	default:
		u.render(w, r, out)
	}
}

// nothingHere answers for every path below /ui/ that has no page.
func (u *UI) nothingHere(r *request) (*answer, error) {
	if u.cfg.RequireReadToken && r.User == nil {
		return &answer{To: signInFor(r.URL.RequestURI())}, nil
	}
	return nil, &problem{http.StatusNotFound, "There is no such page", "The address may be mistyped, or what it was of is gone."}
}

// signInFor is the sign-in page that leads back to where one was.
func signInFor(back string) string {
	if back = ours(back); back == "/ui/" {
		return "/ui/sign-in"
	}
	return "/ui/sign-in?next=" + url.QueryEscape(back)
}

// ours makes sure that a place to go to is one of these pages, whoever named it.
func ours(to string) string {
	at, err := url.Parse(to)
	if err != nil || at.Scheme != "" || at.Host != "" || at.User != nil || at.Opaque != "" || !strings.HasPrefix(to, "/ui/") ||
		strings.Contains(at.Path, "//") || strings.Contains(to, "\\") || strings.Contains(at.Path, "..") || strings.ContainsFunc(to, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "/ui/"
	}
	return to
}
