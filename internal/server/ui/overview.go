package ui

import (
	"context"
	"fmt"
	"strings"

	"github.com/heddle-mesh/heddle/internal/approvals"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// problemsShown bounds the lists of the overview; the API has all of them.
const problemsShown = 50

// overviewView is what an operator sees first.
type overviewView struct {
	Tiles                     []tile
	Problems, Warnings        []problemRow
	MoreProblems, MoreWarning int // that are not shown
	MoreBehind                int
	Behind                    []connectedProxy
	Pending                   []approvalRow
	Changes                   []changeRow
	Reader                    string // why the changes cannot be read
	SignedIn                  bool
}

// tile is one number, and where more about it is.
type tile struct {
	Name, More, Path string
	Number           int
	Kind             string // ok, warn or bad
}

// problemRow is a problem with a link to what it is about, if there is a page of it.
type problemRow struct {
	Problem
	Path string
}

func (u *UI) overview(r *request) (*answer, error) {
	all := u.all()
	listed := all.listing()
	view := overviewView{SignedIn: r.User != nil}
	for _, one := range u.problems() {
		view.Problems = append(view.Problems, problemRow{one, pathOf(one.Object)})
	}
	for _, one := range all.warnings() {
		view.Warnings = append(view.Warnings, problemRow{Problem{one.Object, one.Message}, pathOf(one.Object)})
	}
	connected := u.connected(r, nil)
	for _, one := range connected {
		if kind := one.Chip().Kind; kind == "warn" || kind == "bad" {
			view.Behind = append(view.Behind, one)
		}
	}
	for _, one := range all.approvals() {
		if one.State == approvals.Pending {
			view.Pending = append(view.Pending, approvalRow{Approval: one})
		}
	}
	view.Tiles = []tile{
		{"Services", count(len(listed.owners), "owner", "owners"), "/ui/services", len(listed.services), "ok"},
		{"Instances", fmt.Sprintf("%d healthy", listed.healthy), "/ui/services?sort=health", listed.instances, kindIf(listed.healthy < listed.instances, "warn")},
		{"Proxies", behindText(len(view.Behind)), "#behind", len(connected), kindIf(len(view.Behind) > 0, "warn")},
		{"Approvals", "waiting for an owner", "/ui/approvals", len(view.Pending), kindIf(len(view.Pending) > 0, "warn")},
		{"Problems", count(len(view.Warnings), "warning", "warnings") + " besides", "#problems", len(view.Problems), kindIf(len(view.Problems) > 0, "bad")},
	}
	if u.cfg.Observed != nil {
		one, err := u.driftTile(r.Context())
		if err != nil {
			return nil, err
		}
		view.Tiles = append(view.Tiles, one)
	}
	view.Behind, view.MoreBehind = upTo(rowsShown, view.Behind)
	view.Problems, view.MoreProblems = upTo(problemsShown, view.Problems)
	view.Warnings, view.MoreWarning = upTo(problemsShown, view.Warnings)
	view.Pending, _ = upTo(changesShown, view.Pending)
	view.Changes, view.Reader = u.latestChanges(r)
	return &answer{Template: "overview.html", Data: view}, nil
}

// changesScanned bounds how many entries of the audit the overview looks through.
const changesScanned = 200

// latestChanges gives those that whoever looks may see, or why there are none.
func (u *UI) latestChanges(r *request) ([]changeRow, string) {
	if r.User == nil || !r.User.Admin() && r.User.Token.Service == "" && len(r.User.Token.Owners) == 0 {
		return nil, ""
	}
	ctx, cancel := context.WithTimeout(r.Context(), changesWait)
	defer cancel()
	entries, err := u.cfg.Registry.Audit(ctx, registry.AuditQuery{Limit: changesShown, Scan: changesScanned, Visible: func(e *mesh.AuditEntry) bool {
		return r.User.Token.MayRead(e.Service, e.Owners)
	}})
	if err != nil {
		u.logger.Warn("a page lacks who changed what", "error", err)
		return nil, changesAway
	}
	var out []changeRow
	for i := range entries {
		out = append(out, changeOf(&entries[i]))
	}
	return out, ""
}

func behindText(behind int) string {
	if behind == 0 {
		return "all current"
	}
	return fmt.Sprintf("%d not current", behind)
}

// upTo cuts a list, and says how many were left out.
func upTo[T any](most int, list []T) ([]T, int) {
	if len(list) <= most {
		return list, 0
	}
	return list[:most], len(list) - most
}

func (u *UI) problems() []Problem {
	if u.cfg.Problems == nil {
		return nil
	}
	return u.cfg.Problems()
}

func kindIf(wrong bool, kind string) string {
	if wrong {
		return kind
	}
	return "ok"
}

// storedServices begins the keys of services in etcd, by which problems name those
// that cannot be read.
const storedServices = "/heddle/v1/services/"

// pathOf is the page of an object as problems and the audit name it, or "".
func pathOf(object string) string {
	if name, is := strings.CutPrefix(object, storedServices); is {
		object = "service/" + name
	}
	kind, name, _ := strings.Cut(object, "/")
	if kind == "service" && name != "" {
		return "/ui/services/" + name
	}
	return ""
}
