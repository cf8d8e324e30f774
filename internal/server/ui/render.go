package ui

import (
	"bytes"
	"embed"
	"encoding/base64"
	"errors"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/server/session"
)

//go:embed templates
var templates embed.FS

// frame is what the layout shows around a page.
type frame struct {
	User    *session.User
	Unknown bool // nobody can tell who is signed in
	Nav     []navEntry
	Theme   string // light, dark, or "" for what the system says
	Here    string // the path with its query, to come back to
	SignIn  bool   // it is the sign-in page
	Notice  string
	Version string
	Data    any
}

// readTemplates puts each page into the layout.
func (u *UI) readTemplates() (map[string]*template.Template, error) {
	layout, err := template.New("layout.html").Funcs(words(u.files)).ParseFS(templates, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, err
	}
	files, err := fs.Glob(templates, "templates/*.html")
	if err != nil {
		return nil, err
	}
	pages := map[string]*template.Template{}
	for _, file := range files {
		name := path.Base(file)
		if name == "layout.html" || name == "parts.html" {
			continue
		}
		page, err := layout.Clone()
		if err != nil {
			return nil, err
		}
		if pages[name], err = page.ParseFS(templates, file); err != nil {
			return nil, err
		}
	}
	return pages, nil
}

// render answers with a page, whole or not at all.
func (u *UI) render(w http.ResponseWriter, r *request, a *answer) {
	f := frame{User: r.User, Unknown: r.unknown != nil, Theme: theme(r.Request), Here: ours(r.URL.RequestURI()), Notice: takeNotice(w, r.Request), Version: strings.TrimPrefix(u.cfg.Version, "heddle "), Data: a.Data}
	f.Nav = u.nav(r.URL.Path, r.User != nil || !u.cfg.RequireReadToken)
	f.SignIn = r.URL.Path == "/ui/sign-in"
	if r.Method != http.MethodGet { // one cannot come back to a form that was sent
		f.Here = "/ui/"
	}
	var out bytes.Buffer
	if err := u.templates[a.Template].Execute(&out, f); err != nil {
		u.logger.Error("a page could not be made", "template", a.Template, "error", err)
		http.Error(w, "This page could not be made; the server's log says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(out.Len()))
	if a.Status != 0 {
		w.WriteHeader(a.Status)
	}
	_, _ = w.Write(out.Bytes()) // a client that left is no error of ours
}

// problem is an error for people: what went wrong, and what to do.
type problem struct {
	Status int
	Title  string
	Detail string
}

func (p *problem) Error() string { return p.Title + ": " + p.Detail }

// fail answers with the page of an error.
func (u *UI) fail(w http.ResponseWriter, r *request, err error) {
	p := u.explain(err)
	u.render(w, r, &answer{Template: "error.html", Status: p.Status, Data: p})
}

// explain turns an error of the inner packages into one for people. Errors without
// a kind are ours: they are logged, and their text stays here.
func (u *UI) explain(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	var e *mesh.Error
	if !errors.As(err, &e) {
		u.logger.Error("a page failed", "error", err)
		return &problem{http.StatusInternalServerError, "Something went wrong here", "The server failed on this request; its log says why."}
	}
	p = &problem{Detail: e.Message}
	if len(e.Faults) > 0 {
		p.Detail += ": " + e.Faults.String()
	}
	switch e.Kind {
	case mesh.KindInvalid:
		p.Status, p.Title = http.StatusUnprocessableEntity, "This cannot be done like this"
	case mesh.KindNotFound:
		p.Status, p.Title = http.StatusNotFound, "There is no such thing"
	case mesh.KindConflict:
		p.Status, p.Title = http.StatusConflict, "This cannot be done now"
		if e.Reason != "" {
			p.Title = "Somebody else changed it meanwhile"
		}
	case mesh.KindDenied:
		p.Status, p.Title = http.StatusForbidden, "You may not do this"
	case mesh.KindUnavailable:
		p.Status, p.Title = http.StatusServiceUnavailable, "The registry cannot be reached now"
		u.logger.Warn("a page found something unavailable", "error", e)
	default:
		p.Status, p.Title = http.StatusInternalServerError, "Something went wrong here"
	}
	return p
}

const noticeCookie = "heddle_notice"

// setNotice keeps a sentence for the next page.
func setNotice(w http.ResponseWriter, text string) {
	http.SetCookie(w, &http.Cookie{
		Name: noticeCookie, Value: base64.RawURLEncoding.EncodeToString([]byte(mesh.Cut(text, 500))), Path: "/ui/", MaxAge: 60,
		HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}

// takeNotice gives the sentence that was kept for this page, once.
func takeNotice(w http.ResponseWriter, r *http.Request) string {
	cookie, err := r.Cookie(noticeCookie)
	if err != nil {
		return ""
	}
	http.SetCookie(w, &http.Cookie{Name: noticeCookie, Path: "/ui/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	text, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil {
		return ""
	}
	return mesh.Cut(string(text), 500)
}
