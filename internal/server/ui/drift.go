package ui

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/edits"
	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// driftOnPage is how many rows are shown; the rest is a matter for heddle drift.
const driftOnPage = 500

// driftView is where declarations and calls do not agree.
type driftView struct {
	Since       time.Time
	UnusedDays  int
	Service     string
	Rows        []driftRow
	Found, More int
	Unseen      int // declared and not seen, watched for too short a time
}

type driftRow struct {
	Kind                         chip
	Caller, Callee               string
	CallerPath, CalleePath       string
	Owner, Message, Mend, Reason string
	Count                        uint64
	LastSeen                     time.Time
	Declare                      bool // the user may, and one step does it
}

var driftKinds = map[mesh.DriftKind]string{
	mesh.DriftUndeclared: "bad", mesh.DriftRefused: "bad", mesh.DriftUnused: "warn", mesh.DriftUnseen: "none", mesh.DriftPlain: "info",
}

func (u *UI) drift(r *request) (*answer, error) {
	view, service := u.cfg.Catalog.View(), strings.TrimSpace(r.URL.Query().Get("service"))
	d, err := u.driftOf(r.Context(), view, service)
	if err != nil {
		return nil, err
	}
	page := driftView{Since: d.Since, UnusedDays: d.UnusedDays, Service: service}
	path := func(name string) string {
		if _, declared := view.Service(mesh.ServiceName(name)); declared {
			return "/ui/services/" + name
		}
		return ""
	}
	for _, one := range d.Items {
		if one.Kind == mesh.DriftUnseen {
			page.Unseen++
			continue
		}
		if page.Found++; page.Found > driftOnPage {
			page.More++
			continue
		}
		row := driftRow{
			Kind:   chip{Kind: driftKinds[one.Kind], Text: string(one.Kind)},
			Caller: one.Caller, Callee: one.Callee, CallerPath: path(one.Caller), CalleePath: path(one.Callee),
			Owner: one.CallerOwner, Message: one.Message, Mend: one.Mend, Reason: one.Reason, Count: one.Count, LastSeen: one.LastSeen,
		}
		if caller, declared := view.Service(mesh.ServiceName(one.Caller)); declared && one.Declarable {
			row.Declare = r.User.MayChange(caller)
		}
		page.Rows = append(page.Rows, row)
	}
	return &answer{Template: "drift.html", Data: page}, nil
}

// driftOf is the drift of a service, or of all.
func (u *UI) driftOf(ctx context.Context, view *catalog.View, service string) (mesh.Drift, error) {
	now := time.Now()
	return u.drifts.get(view, now, service, func() (mesh.Drift, error) {
		seen, err := u.seenCalls(ctx)
		if err != nil {
			return mesh.Drift{}, err
		}
		return insight.Drift(view, seen, insight.DriftOptions{Now: now, Service: service}), nil
	})
}

// driftTile says on the overview how much there is of it.
func (u *UI) driftTile(ctx context.Context) (tile, error) {
	d, err := u.driftOf(ctx, u.cfg.Catalog.View(), "")
	if err != nil {
		return tile{}, err
	}
	there := map[mesh.DriftKind]int{}
	for i := range d.Items {
		there[d.Items[i].Kind]++
	}
	attempted, refused, unused := there[mesh.DriftUndeclared], there[mesh.DriftRefused], there[mesh.DriftUnused]
	more := fmt.Sprintf("%d undeclared, %d refused, %d unused", attempted, refused, unused)
	return tile{"Drift", more, "/ui/drift", attempted + refused + unused, kindIf(attempted+refused > 0, "warn")}, nil
}

// declare adds what was attempted to the caller's dependencies.
func (u *UI) declare(r *request) (*answer, error) {
	caller, callee := mesh.ServiceName(r.PostFormValue("caller")), mesh.ServiceName(r.PostFormValue("callee"))
	stored, added, err := edits.DeclareCall(r.Context(), u.cfg.Registry, u.cfg.Catalog.View(), caller, callee, r.User.Write(r.Request))
	if err != nil {
		return nil, err
	}
	if !added {
		return done("/ui/drift", fmt.Sprintf("%s declares %s already", caller, callee))
	}
	u.seen(r.Context(), stored.Meta.Revision)
	return done("/ui/drift?"+url.Values{"service": {string(caller)}}.Encode(), fmt.Sprintf("%s declares %s", caller, callee))
}
