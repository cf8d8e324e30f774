package ui

import (
	"cmp"
	"context"
	"errors"
	"net/http"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// absentView is the page of a service that was deleted, or that cannot be read.
type absentView struct {
	Name, Title, Detail string
	Fault               string // in what is stored
	Who                 string // may mend it, if whoever looks may not
	Back                int64  // what it can be rolled back to; 0: nothing, or not by whoever looks
	Delete              bool
}

// absent shows what there is of a service that is not declared, and how to mend that.
func (u *UI) absent(ctx context.Context, r *request, name mesh.ServiceName) (*answer, error) {
	nothing := u.undeclared(name)
	_, unread := u.cfg.Registry.Service(ctx, name)
	states, err := u.cfg.Registry.ServiceHistory(ctx, name)
	if err != nil || len(states) == 0 {
		return nil, nothing // nothing is kept of it, or etcd is away
	}
	view := absentView{Name: string(name), Title: string(name) + " was deleted"}
	good := lastGood(states)
	switch newest := states[0]; {
	case mesh.ReasonOf(unread) == mesh.ReasonCorrupt:
		view.broken(r, unread, good)
		return &answer{Template: "absent.html", Data: view, Status: http.StatusServiceUnavailable}, nil
	case !newest.Deleted:
		return nil, nothing // it is being written just now
	default:
		who := "Somebody" // the audit is for its owner and admins
		if good != nil && r.User != nil && r.User.Token.MayRead(name, []string{good.Object.Owner}) {
			who = cmp.Or(newest.Author, who)
		}
		view.Detail = who + " deleted it on " + stamp(newest.Time) + "."
	}
	if callers := u.cfg.Catalog.View().Dependents(name); len(callers) > 0 {
		view.Detail += " It is still a dependency of others, whose calls to it get a 503."
	}
	switch {
	case good == nil:
	case r.User.MayCreate() && r.User.MayDeclare(good.Object):
		view.Back = good.Revision
	default:
		view.Who = "It belonged to " + good.Object.Owner + ", who may bring it back."
	}
	return &answer{Template: "absent.html", Data: view, Status: http.StatusNotFound}, nil
}

// broken fills in what to do about a value that cannot be read.
func (v *absentView) broken(r *request, unread error, good *registry.Past[mesh.Service]) {
	v.Title, v.Detail, v.Fault = v.Name+" cannot be read", "What is stored of it in etcd cannot be read. Servers that have seen its last good version go on with that until they restart.", unread.Error()
	var e *mesh.Error
	if errors.As(unread, &e) && e.Err != nil {
		v.Fault = e.Err.Error()
	}
	if !r.User.Admin() {
		v.Who = "An admin may roll it back, or delete it: nobody else can tell whose it is."
		return
	}
	v.Delete = true
	if good != nil {
		v.Back = good.Revision
	}
}

// lastGood is the newest state, of those that are kept, that a service can be rolled back to.
func lastGood(states []registry.Past[mesh.Service]) *registry.Past[mesh.Service] {
	for i := range states {
		if one := &states[i]; one.Object != nil && !one.Present && !one.Deleted {
			return one
		}
	}
	return nil
}

// presentRevision is that of what is stored now, out of what is kept of an object.
func presentRevision[T any](states []registry.Past[T], err error) (int64, error) {
	for i := range states {
		if states[i].Present {
			return states[i].Revision, nil
		}
	}
	return 0, err
}
