package ui

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/server/ui/form"
)

// formPage is a form, or what comes of it.
type formPage struct {
	Noun    string
	Name    string // "": of a new one
	Path    string // where it is posted to
	Back    string // where one gets by leaving it
	From    string // what is there
	Delete  string // where it is deleted; "": nowhere
	Base    string // what it was opened with, as JSON
	Form    form.Shown
	Title   string // of Problem
	Problem string // why it was not stored
	Gone    bool   // the object was deleted meanwhile
	Taken   string // where the object is that has the name of a new one
	Mend    string // where what is stored and cannot be read is mended
	Locked  string // why whoever looks may not store it
	Force   bool   // a deletion has to be forced, by typing the name
	Typed   string // in its place
	Status  int
	Kept    []form.Kept // on a page without the fields: what is in them

	Changes []change // what is to be stored, or differs
	Notes   []note
	Plan    *planView // nil: not known
	Clashes int
	Meta    mesh.Meta
	Theirs  int64 // the revision that was compared with

	focus string
}

// Mistyped says that what was typed in place of the name is something else.
func (p formPage) Mistyped() bool { return p.Typed != "" && p.Typed != p.Name }

// change is one field, as people read it.
type change struct {
	form.Difference
	Label string
	Take  string // mine, theirs or "", of what clashes
}

func (e *editor[T]) fill(d *draft[T], page *formPage) {
	opened := d.base
	*e.meta(&opened) = mesh.Meta{Revision: e.meta(&d.base).Revision} // whoever may see the form is not told who wrote it
	base, err := json.Marshal(opened)
	if err != nil {
		base = []byte("{}") // it has been JSON before
	}
	page.Noun, page.Name, page.Path, page.Base = e.noun, d.name, e.path(d.name), string(base)
	page.Back, page.From = e.home(d.name), capital(e.noun)+"s"
	if page.Back != e.pages {
		page.From = d.name
	}
	if d.name != "" && e.remove != nil && e.meta(&d.base).Revision != 0 {
		page.Delete = e.pages + "/" + d.name + "/delete"
	}
}

// told is what is told of who stored an object, and when.
func (e *editor[T]) told(r *request, stored *T) mesh.Meta {
	meta := *e.meta(stored)
	if !e.u.authors(r).Of(e.noun + "/" + e.name(stored)) {
		meta.Author = ""
	}
	return meta
}

// faultsOnPage bounds how many faults one page tells of.
const faultsOnPage = 200

// page shows the form.
func (e *editor[T]) page(r *request, d *draft[T], page formPage, faults ...mesh.Fault) *answer {
	e.fill(d, &page)
	if more := len(faults) - faultsOnPage; more > 0 {
		faults = append(slices.Clone(faults[:faultsOnPage]), mesh.Fault{Message: "There are " + strconv.Itoa(more) + " more."})
	}
	if d.name != "" && e.may(r.User, d.name) != nil {
		page.Delete = ""
	}
	page.Form = form.Show(e.items(r, &d.base), d.texts, faults, page.focus, e.look(&d.base))
	if r.Header.Get("HX-Request") != "" {
		page.Form.ByScript()
	}
	return &answer{Template: "form.html", Data: page, Status: page.Status}
}

// reviewPage shows what is to be stored, before it is.
func (e *editor[T]) reviewPage(r *request, d *draft[T], object T) *answer {
	page := formPage{Kept: d.texts.Kept(), Notes: e.review(&object)}
	e.fill(d, &page)
	if page.Name == "" {
		page.Name = e.name(&object)
	}
	_, differences := form.Merge(d.base, d.base, object, e.units, func(string) bool { return true })
	page.Changes = changesOf(e.items(r, &d.base), differences)
	page.Meta = *e.meta(&d.base)
	if e.plan != nil && len(page.Changes) > 0 {
		page.Plan = e.u.planned(r.Context(), e.plan(object))
	}
	return &answer{Template: "review.html", Data: page}
}

func changesOf(items []form.Item, differences []form.Difference) []change {
	out := make([]change, len(differences))
	for i, one := range differences {
		out[i] = change{Difference: one, Label: cmp.Or(form.LabelOf(items, one.Path), one.Path)}
		if _, name, is := strings.Cut(one.Path, ": "); is {
			out[i].Label += ": " + name
		}
	}
	return out
}

// clash shows what two people made of one object, field by field.
func (e *editor[T]) clash(r *request, d *draft[T], mine, theirs T) (*answer, error) {
	_, differences := form.Merge(d.base, theirs, mine, e.units, func(string) bool { return false })
	if len(differences) == 0 {
		return done(e.home(e.name(&theirs)), "It was stored like this already.")
	}
	page := formPage{Kept: d.texts.Kept(), Changes: changesOf(e.items(r, &d.base), differences), Meta: e.told(r, &theirs), Theirs: e.meta(&theirs).Revision, Status: http.StatusConflict}
	for i := range page.Changes {
		one := &page.Changes[i]
		one.Take = r.PostForm.Get("~take:" + one.Path)
		if one.Clash() {
			page.Clashes++
		}
	}
	e.fill(d, &page)
	page.Name = e.name(&theirs)
	return &answer{Template: "clash.html", Data: page, Status: page.Status}, nil
}

// taken says that the name of a new object is that of another one.
func (e *editor[T]) taken(r *request, d *draft[T], mine, there T) (*answer, error) {
	name := e.name(&there)
	if _, differences := form.Merge(d.base, there, mine, e.units, func(string) bool { return false }); len(differences) == 0 {
		return done(e.home(name), "It was stored like this already.")
	}
	page := formPage{
		Status: http.StatusConflict, Title: "A " + e.noun + " called " + name + " exists already", Taken: e.home(name),
		Problem: "It belongs to " + e.owner(&there) + ". Nothing was stored; what you typed is still here. Choose another name, or edit the one that exists.",
	}
	return e.page(r, d, page, mesh.Fault{Path: "name", Message: "is taken"}), nil
}

// resolve puts together what was chosen, and goes on from what is stored now.
func (e *editor[T]) resolve(r *request, d *draft[T]) (*answer, error) {
	mine, faults, err := e.build(r, d)
	if err != nil {
		return nil, err
	}
	if len(faults) > 0 {
		return e.page(r, d, formPage{Status: http.StatusUnprocessableEntity}, faults...), nil
	}
	theirs, err := e.read(r.Context(), e.name(&mine))
	switch {
	case mesh.KindOf(err) == mesh.KindNotFound: // deleted since
		return e.submit(r, d, false)
	case mesh.ReasonOf(err) == mesh.ReasonCorrupt:
		return e.unreadable(r, d, e.name(&mine), err), nil
	case err != nil:
		return e.refused(r, d, err)
	case r.PostForm.Get("~theirs") != revisionText(e.meta(&theirs).Revision): // changed once more
		return e.clash(r, d, mine, theirs)
	}
	undecided := false
	merged, differences := form.Merge(d.base, theirs, mine, e.units, func(path string) bool { return r.PostForm.Get("~take:"+path) == "mine" })
	for i := range differences {
		take := r.PostForm.Get("~take:" + differences[i].Path)
		undecided = undecided || differences[i].Clash() && take != "mine" && take != "theirs"
	}
	if undecided {
		return e.clash(r, d, mine, theirs)
	}
	next := &draft[T]{name: e.name(&theirs), base: theirs}
	if next.texts, err = form.Fill(e.items(r, &theirs), merged); err != nil {
		return nil, err
	}
	return e.submit(r, next, false)
}

// capital makes a text begin like a sentence.
func capital(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
