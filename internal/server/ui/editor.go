package ui

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
	"github.com/heddle-mesh/heddle/internal/server/session"
	"github.com/heddle-mesh/heddle/internal/server/ui/form"
)

// editor declares and edits objects of one kind by a form. A form is opened, sent
// for review, and saved from there; all that is known of it in between is in the
// page. What is posted beside the fields: ~base is the object that it was opened
// with, ~do what is to be done.
type editor[T any] struct {
	u       *UI
	noun    string // "service"
	pages   string // below it are the pages of these objects: "/ui/services"
	newOnly bool   // they are registered by the form, and not edited
	listed  bool   // there is a list of them, and no page of each
	units   []string
	items   func(r *request, stored *T) []form.Item
	name    func(*T) string
	meta    func(*T) *mesh.Meta
	read    func(ctx context.Context, name string) (T, error)
	write   func(ctx context.Context, object T, w registry.Write) (T, error)
	remove  func(ctx context.Context, name string, w registry.Write) error // nil: not by a form
	check   func(*T) mesh.Faults
	look    func(*T) form.Look
	hurt    func(name string) []note // whom a deletion would hurt; nil: nobody
	plan    func(T) mesh.PlanRequest // what it would be to store it; nil: not told
	owner   func(*T) string          // nil: it has none of its own
	// Of what is stored and cannot be read: its revision, and a page that says so; nil: there is no such page.
	revision func(ctx context.Context, name string) (int64, error)
	broken   func(ctx context.Context, r *request, name string) (*answer, error)
	// create and change refuse whoever may declare none of them, or not this one.
	create func(*session.User) error
	change func(user *session.User, name string) error
	// review says what is to be known before it is stored.
	review func(*T) []note
}

// note is something that is to be known of a change.
type note struct{ Kind, Text string }

// byName reads an object of the registry by a text.
func byName[N ~string, T any](read func(context.Context, N) (T, error)) func(context.Context, string) (T, error) {
	return func(ctx context.Context, name string) (T, error) { return read(ctx, N(name)) }
}

// writtenByName is the same of what is done to it.
func writtenByName[N ~string](do func(context.Context, N, registry.Write) error) func(context.Context, string, registry.Write) error {
	return func(ctx context.Context, name string, w registry.Write) error { return do(ctx, N(name), w) }
}

// draft is a form that somebody is filling in.
type draft[T any] struct {
	name  string // of the object in the path; "": it is a new one
	base  T      // as it was when the form was opened; its revision is 0 if there was none
	texts form.Texts
}

// register serves the form of a new object, and of each that is there.
func (e *editor[T]) register() {
	e.u.form("GET /ui/declare/"+e.noun, e.open)
	e.u.objectForm("POST /ui/declare/"+e.noun, e.post)
	if e.newOnly {
		return
	}
	e.u.form("GET "+e.pages+"/{name}/edit", e.open)
	e.u.objectForm("POST "+e.pages+"/{name}/edit", e.post)
	if e.remove != nil {
		e.u.form("GET "+e.pages+"/{name}/delete", e.deletePage)
		e.u.form("POST "+e.pages+"/{name}/delete", e.delete)
	}
}

// path is where a draft is posted to.
func (e *editor[T]) path(name string) string {
	if name == "" {
		return "/ui/declare/" + e.noun
	}
	return e.pages + "/" + name + "/edit"
}

// home is where the object of a name is shown.
func (e *editor[T]) home(name string) string {
	if e.listed || name == "" {
		return e.pages
	}
	return e.pages + "/" + name
}

func (e *editor[T]) open(r *request) (*answer, error) {
	d := &draft[T]{name: r.PathValue("name"), texts: form.Texts{}}
	var page formPage
	err := e.may(r.User, d.name)
	switch {
	case err != nil && !r.User.MayCreate():
		return nil, err
	case err != nil:
		page.Locked = capital(e.u.explain(err).Detail) + ". What is typed here cannot be stored."
	}
	if d.name == "" { // what a link fills in
		if d.texts, err = form.Read(e.items(r, &d.base), r.URL.Query()); err != nil {
			return nil, excess(err)
		}
		return e.page(r, d, formPage{}), nil
	}
	d.base, err = e.read(r.Context(), d.name)
	switch {
	case mesh.ReasonOf(err) == mesh.ReasonCorrupt && e.broken != nil:
		return e.broken(r.Context(), r, d.name)
	case err != nil:
		return nil, err
	}
	if d.texts, err = form.Fill(e.items(r, &d.base), d.base); err != nil {
		return nil, err
	}
	return e.page(r, d, page), nil
}

// post does what a button of the form says.
func (e *editor[T]) post(r *request) (*answer, error) {
	d := &draft[T]{name: r.PathValue("name")}
	if err := json.Unmarshal([]byte(cmp.Or(r.PostForm.Get("~base"), "{}")), &d.base); err != nil {
		return nil, &problem{http.StatusBadRequest, "The form could not be read", "What it was opened with is not in it any more. Open the page anew."}
	}
	items := e.items(r, &d.base)
	var err error
	if d.texts, err = form.Read(items, r.PostForm); err != nil {
		return nil, excess(err)
	}
	if before, err := form.Fill(items, d.base); err != nil || before.Bounded(items) != nil {
		return nil, &problem{http.StatusUnprocessableEntity, "The form holds too much", "What it says that it was opened with is more than a form can edit; heddle apply can. Nothing was changed."}
	}
	do, what, _ := strings.Cut(r.PostForm.Get("~do"), ":")
	if err := e.may(r.User, d.name); err != nil {
		return e.refused(r, d, err)
	}
	switch do {
	case "review", "save":
		return e.submit(r, d, do == "save")
	case "resolve":
		return e.resolve(r, d)
	case "anew":
		*e.meta(&d.base) = mesh.Meta{}
		return e.submit(r, d, false)
	case "check":
		_, faults, err := e.build(r, d)
		if err != nil {
			return nil, err
		}
		return e.page(r, d, formPage{}, faults...), nil
	}
	return e.page(r, d, formPage{focus: d.arrange(do, what)}), nil
}

// may refuses whoever could store nothing, as far as the catalog knows, before
// anything is computed; what is stored is judged by the registry.
func (e *editor[T]) may(user *session.User, name string) error {
	if err := e.create(user); err != nil || name == "" {
		return err
	}
	return e.change(user, name)
}

// excess says that a form holds too much; other errors stay.
func excess(err error) error {
	var e *form.Excess
	if errors.As(err, &e) {
		return &problem{http.StatusUnprocessableEntity, "The form holds too much", e.Message + " Nothing was changed; heddle apply takes more."}
	}
	return err
}

// build makes the object of a draft, with everything that is wrong with it.
func (e *editor[T]) build(r *request, d *draft[T]) (T, mesh.Faults, error) {
	var object T
	items := e.items(r, &d.base)
	faults, err := d.texts.Build(items, d.base, &object)
	var invalid *mesh.Error
	if errors.As(err, &invalid) { // the shape that it was opened with is not the model's
		return object, append(faults, invalid.Faults...), nil
	}
	if err != nil {
		return object, nil, err
	}
	*e.meta(&object) = *e.meta(&d.base)
	faults = append(faults, d.unchosen()...)
	told := map[string]bool{}
	for _, one := range faults {
		told[one.Path] = true
	}
	for _, one := range e.check(&object) {
		if !told[one.Path] {
			faults = append(faults, one)
		}
	}
	return object, faults, nil
}

// unchosen finds names that were typed to be searched for and neither added nor
// taken back: whoever typed one takes it for part of the form.
func (d *draft[T]) unchosen() mesh.Faults {
	var faults mesh.Faults
	for name, text := range d.texts {
		if path, is := strings.CutSuffix(name, form.FindMark); is && strings.TrimSpace(text) != "" {
			faults.Add(path, "“%s” is typed in the search and not in the list: add it, or clear the search", mesh.Cut(text, 80))
		}
	}
	return faults
}

// submit reviews a draft, or saves it.
func (e *editor[T]) submit(r *request, d *draft[T], save bool) (*answer, error) {
	object, faults, err := e.build(r, d)
	if err != nil {
		return nil, err
	}
	if len(faults) > 0 {
		return e.page(r, d, formPage{Status: http.StatusUnprocessableEntity}, faults...), nil
	}
	name := e.name(&object)
	if d.name != "" && name != d.name {
		return nil, &problem{http.StatusBadRequest, "The form is of something else", "It was opened with another name than that of this page. Open the page anew."}
	}
	if out, err := e.compared(r, d, object); out != nil || err != nil {
		return out, err
	}
	if !save {
		return e.reviewPage(r, d, object), nil
	}
	w := r.User.Write(r.Request)
	w.Revision, w.Create = e.meta(&d.base).Revision, e.meta(&d.base).Revision == 0
	saved, err := e.write(r.Context(), object, w)
	if mesh.KindOf(err) == mesh.KindConflict { // something came between, or the registry has another reason
		if out, err := e.compared(r, d, object); out != nil || err != nil {
			return out, err
		}
	}
	if err != nil {
		return e.refused(r, d, err)
	}
	e.u.seen(r.Context(), e.meta(&saved).Revision)
	return done(e.home(name), capital(e.noun)+" "+name+" is stored.")
}

// compared answers if what is stored is not what the form was opened with; else it
// gives nothing.
func (e *editor[T]) compared(r *request, d *draft[T], object T) (*answer, error) {
	name, before := e.name(&object), e.meta(&d.base).Revision
	stored, err := e.read(r.Context(), name)
	there := e.meta(&stored).Revision
	switch {
	case mesh.KindOf(err) == mesh.KindNotFound && before == 0:
	case mesh.KindOf(err) == mesh.KindNotFound:
		return e.page(r, d, formPage{Status: http.StatusConflict, Gone: true, Title: "It was deleted meanwhile", Problem: "Somebody deleted " + e.noun + " " + name + " after you opened this form. Nothing was stored; what you typed is still here. You can declare it anew."}), nil
	case mesh.ReasonOf(err) == mesh.ReasonCorrupt:
		return e.unreadable(r, d, name, err), nil
	case err != nil:
		return e.refused(r, d, err)
	case there != before && d.name == "":
		return e.taken(r, d, object, stored)
	case there != before:
		return e.clash(r, d, object, stored)
	}
	return nil, nil //nolint:nilnil // nothing is to be said
}

// unreadable says that a form cannot be stored over what cannot be read, and leads
// to where that is mended.
func (e *editor[T]) unreadable(r *request, d *draft[T], name string, err error) *answer {
	page := formPage{
		Status: http.StatusConflict, Title: capital(e.noun) + " " + name + " cannot be read",
		Problem: capital(e.u.told(r, err).Detail) + ". Nothing was stored; what you typed is still here.",
	}
	if e.broken != nil {
		page.Mend = e.pages + "/" + name + "/edit"
	}
	return e.page(r, d, page)
}

// refused shows the form again with why it was not stored.
func (e *editor[T]) refused(r *request, d *draft[T], err error) (*answer, error) {
	p := e.u.told(r, err)
	page := formPage{Status: p.Status, Title: p.Title, Problem: capital(p.Detail) + ". Nothing was stored; what you typed is still here."}
	var e2 *mesh.Error
	if errors.As(err, &e2) && len(e2.Faults) > 0 {
		return e.page(r, d, formPage{Status: p.Status}, e2.Faults...), nil
	}
	return e.page(r, d, page), nil
}
