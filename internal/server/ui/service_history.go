package ui

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/heddle-mesh/heddle/internal/edits"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
	"github.com/heddle-mesh/heddle/internal/server/ui/form"
)

// historyView is what a service was, and what differs between two of its states.
type historyView struct {
	Name     string
	There    bool // it is not deleted
	May      bool // whoever asks may roll it back
	States   []stateRow
	From, To int64
	Changes  []change
	Compared bool
	Fault    string // why there is no comparison
}

// stateRow is one state.
type stateRow struct {
	registry.Past[mesh.Service]
	Fields []string // that changed, as people read them
	Whole  bool     // its content is there
	Back   bool     // it can be rolled back to
}

// rollbackView asks whether to roll back.
type rollbackView struct {
	Name           string
	To, Over       int64
	Then           registry.Past[mesh.Service]
	Changes        []change
	There          bool // it is not deleted
	Title, Problem string
}

func (u *UI) registerHistory() {
	u.handle("GET /ui/services/{name}/history", u.serviceHistory)
	u.form("GET /ui/services/{name}/rollback", u.rollbackPage)
	u.form("POST /ui/services/{name}/rollback", u.rollback)
}

func (u *UI) serviceHistory(r *request) (*answer, error) {
	if r.unknown != nil {
		return nil, r.unknown
	}
	if r.User == nil { // as the API: it tells who wrote what
		return &answer{To: signInFor(r.URL.RequestURI())}, nil
	}
	name := mesh.ServiceName(r.PathValue("name"))
	states, err := u.visibleHistory(r, name)
	if err != nil {
		return nil, err
	}
	view := historyView{Name: string(name), May: r.User.MayCreate()}
	for i := range states {
		if states[i].Present {
			view.There = true
			view.May = states[i].Object == nil && r.User.Admin() || states[i].Object != nil && r.User.MayChange(states[i].Object)
		}
	}
	items := serviceLabels()
	for _, one := range states {
		row := stateRow{Past: one, Whole: one.Object != nil, Back: view.May && one.Object != nil && !one.Present}
		for _, field := range one.Changed {
			row.Fields = append(row.Fields, labelOr(items, field))
		}
		view.States = append(view.States, row)
	}
	view.choose(r)
	if before, after := stateOf(states, view.From), stateOf(states, view.To); before != nil && after != nil {
		view.Changes, view.Compared = serviceChanges(*before, *after), true
	}
	return &answer{Template: "history.html", Data: view}, nil
}

// visibleHistory is what whoever asks sees of a service's history.
func (u *UI) visibleHistory(r *request, name mesh.ServiceName) ([]registry.Past[mesh.Service], error) {
	states, err := u.cfg.Registry.ServiceHistory(r.Context(), name)
	if err != nil {
		return nil, err
	}
	return registry.Visible(states, r.User.Token, "service "+string(name), name)
}

// choose takes the two states that are to be compared: those that were asked for, or
// else the newest two.
func (v *historyView) choose(r *request) {
	var whole []int64
	for _, one := range v.States {
		if one.Whole {
			whole = append(whole, one.Revision)
		}
	}
	if len(whole) > 1 {
		v.From, v.To = whole[1], whole[0]
	}
	query := r.URL.Query()
	for name, into := range map[string]*int64{"from": &v.From, "to": &v.To} {
		text := query.Get(name)
		if text == "" {
			continue
		}
		revision, err := strconv.ParseInt(text, 10, 64)
		if err != nil || !slices.Contains(whole, revision) {
			v.Fault = "One of the revisions that were asked for is not kept, so there is nothing to compare."
			v.From, v.To = 0, 0
			return
		}
		*into = revision
	}
}

// serviceLabels are the fields of a service as people call them.
func serviceLabels() []form.Item {
	return serviceFields(form.Item{Kind: form.Text, Path: "owner", Label: "Owner"}, true)
}

func labelOr(items []form.Item, path string) string {
	if label := form.LabelOf(items, path); label != "" {
		return label
	}
	return path
}

// serviceChanges tells two states of a service apart, field by field.
func serviceChanges(before, after mesh.Service) []change {
	before.Meta, after.Meta = mesh.Meta{}, mesh.Meta{}
	_, differences := form.Merge(before, before, after, []string{"endpoints"}, func(string) bool { return true })
	return changesOf(serviceLabels(), differences)
}

func stateOf(states []registry.Past[mesh.Service], revision int64) *mesh.Service {
	for i := range states {
		if states[i].Revision == revision {
			return states[i].Object
		}
	}
	return nil
}

// rollbackTo finds the state that is asked for, and what it would change.
func (u *UI) rollbackTo(r *request, name mesh.ServiceName, to string) (rollbackView, error) {
	view := rollbackView{Name: string(name)}
	states, err := u.visibleHistory(r, name)
	if err != nil {
		return view, err
	}
	view.To, _ = strconv.ParseInt(to, 10, 64) // what is no number is no revision
	object, err := registry.RollbackTo(states, "service "+string(name), view.To)
	if err != nil {
		return view, err
	}
	for i := range states {
		switch one := &states[i]; {
		case one.Revision == view.To:
			view.Then = *one
		case one.Present:
			view.There, view.Over = true, one.Revision
			if one.Object != nil {
				view.Changes = serviceChanges(*one.Object, *object)
			}
		}
	}
	return view, nil
}

func (u *UI) rollbackPage(r *request) (*answer, error) {
	view, err := u.rollbackTo(r, mesh.ServiceName(r.PathValue("name")), r.URL.Query().Get("to"))
	if err != nil {
		return nil, err
	}
	return &answer{Template: "rollback.html", Data: view}, nil
}

// rollback writes the state anew, over what the page had shown.
func (u *UI) rollback(r *request) (*answer, error) {
	name := mesh.ServiceName(r.PathValue("name"))
	view, err := u.rollbackTo(r, name, r.PostForm.Get("to"))
	if err != nil {
		return nil, err
	}
	if r.again {
		return &answer{Template: "rollback.html", Data: view}, nil
	}
	if r.PostForm.Get("over") != strconv.FormatInt(view.Over, 10) {
		view.Title, view.Problem = "It was changed meanwhile", "Somebody stored it after you opened this page. Nothing was rolled back; look at what would change now."
		return &answer{Template: "rollback.html", Data: view, Status: http.StatusConflict}, nil
	}
	w := r.User.Write(r.Request)
	w.To, w.Revision, w.Create = view.To, view.Over, !view.There
	stored, err := edits.RollBack(r.Context(), u.cfg.Registry, u.cfg.Catalog.View(), name, w)
	if err != nil {
		p := u.told(r, err)
		view.Title, view.Problem = p.Title, p.Detail
		return &answer{Template: "rollback.html", Data: view, Status: p.Status}, nil
	}
	u.seen(r.Context(), stored.Meta.Revision)
	return done("/ui/services/"+string(name)+"/history", "Rolled back to revision "+strconv.FormatInt(view.To, 10)+".")
}
