package ui

import (
	"context"
	"net/http"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// deletePage asks before an object is deleted; what is posted deletes it, if it is
// still as it was shown.
func (e *editor[T]) deletePage(r *request) (*answer, error) {
	name := r.PathValue("name")
	if err := e.may(r.User, name); err != nil {
		return nil, err
	}
	stored, err := e.stored(r.Context(), name)
	if err != nil {
		return nil, err
	}
	return e.deletion(r, name, stored, formPage{}), nil
}

// stored reads an object; of one that cannot be read there is its revision.
func (e *editor[T]) stored(ctx context.Context, name string) (T, error) {
	stored, err := e.read(ctx, name)
	if mesh.ReasonOf(err) == mesh.ReasonCorrupt && e.revision != nil {
		e.meta(&stored).Revision, err = e.revision(ctx, name)
	}
	return stored, err
}

func (e *editor[T]) deletion(r *request, name string, stored T, page formPage) *answer {
	e.fill(&draft[T]{name: name, base: stored}, &page)
	page.Path, page.Meta = e.pages+"/"+name+"/delete", e.told(r, &stored)
	page.Base = revisionText(page.Meta.Revision)
	if e.hurt != nil {
		page.Notes = e.hurt(name)
		page.Force = page.Force || len(page.Notes) > 0
	}
	return &answer{Template: "delete.html", Data: page, Status: page.Status}
}

func (e *editor[T]) delete(r *request) (*answer, error) {
	if r.again {
		return e.deletePage(r)
	}
	name := r.PathValue("name")
	stored, err := e.stored(r.Context(), name)
	if err == nil && r.PostForm.Get("~base") != revisionText(e.meta(&stored).Revision) {
		return e.deletion(r, name, stored, formPage{Status: http.StatusConflict, Title: "It was changed meanwhile", Problem: "Somebody stored it after you opened this page. Nothing was deleted; look at it again first."}), nil
	}
	typed := strings.TrimSpace(r.PostForm.Get("~force"))
	if typed != "" && typed != name {
		return e.deletion(r, name, stored, formPage{Status: http.StatusUnprocessableEntity, Typed: typed, Force: true}), nil
	}
	w := r.User.Write(r.Request)
	if err == nil {
		w.Revision, w.Force = e.meta(&stored).Revision, typed != ""
		err = e.remove(r.Context(), name, w)
	}
	if err != nil {
		p := e.u.told(r, err)
		page := formPage{Status: p.Status, Title: p.Title, Problem: capital(p.Detail) + ".", Gone: p.Status == http.StatusNotFound}
		if mesh.ReasonOf(err) == mesh.ReasonDependents {
			page.Title, page.Force = "Others depend on it", true
		}
		return e.deletion(r, name, stored, page), nil
	}
	e.u.seenNow(r.Context())
	return done(e.pages, capital(e.noun)+" "+name+" is deleted.")
}
