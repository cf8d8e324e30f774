package ui

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// serviceView is the page of one service.
type serviceView struct {
	Service   *mesh.Service
	Health    chip
	Share     string // of its instances that are healthy
	Mine      bool   // the reader may change it
	Whose     string // it is, if somebody is signed in who may not change it
	Kept      string // who keeps it, and where it is changed
	Broken    bool   // it is its last good version: what is stored now cannot be read
	Problems  []string
	Warnings  []string
	Calls     []edgeRow
	Callers   []edgeRow
	Traffic   bool // sidecars report what they see
	Settings  []setting
	Instances []instanceRow
	Known     int // of its instances; those that are not healthy come first
	Proxies   []connectedProxy
	Connected int // of its proxies; those that need somebody come first
	Changes   []changeRow
	Reader    string // may the reader see the changes: "" yes, else why not
}

// instanceRow is one instance.
type instanceRow struct {
	ID, Address, Locality, Source, Labels string
	Health                                chip
	MTLS                                  bool
	Kept                                  bool   // by a keeper, whose it is to remove it
	Machine                               string // where the machine is shown that it is; "": none
	Weight                                int
	Since                                 time.Time
}

// rowsShown bounds the tables of a page that are no list with pages of its own.
const rowsShown = 50

// changesShown is how many of the latest changes a service's page shows.
const changesShown = 10

func (u *UI) service(r *request) (*answer, error) {
	view, name := u.cfg.Catalog.View(), mesh.ServiceName(r.PathValue("name"))
	service, declared := view.Service(name)
	if !declared {
		return u.absent(r.Context(), r, name)
	}
	out := serviceView{Service: service, Mine: r.User.MayDeclare(service), Settings: settings(service)}
	if r.User != nil && !out.Mine {
		out.Whose = "It belongs to " + service.Owner + ", and you may write " + r.User.Rights() + "."
	}
	if keeper := service.Meta.Keeper; keeper != "" {
		out.Kept = "It is kept by " + string(keeper) + ": it is changed there, " + keeper.Where() + ", and not here."
	}
	instances := view.Instances(name)
	out.Health, _, out.Share = healthOf(service, instances)
	out.Known = len(instances)
	for _, one := range firstUnhealthy(instances, rowsShown) {
		machine := ""
		if source := one.Meta.Keeper.VMSource(); source != "" {
			machine = with(machinesPath, url.Values{"source": {source}}, "q", string(one.ID))
		}
		out.Instances = append(out.Instances, instanceRow{
			Machine: machine,
			ID:      string(one.ID), Address: address(one), Locality: place(one.Locality), Source: cmp.Or(string(one.Meta.Keeper), one.Meta.Source, "unknown"), Kept: one.Meta.Keeper != "", Labels: labels(one.Labels),
			Health: instanceHealth(one), MTLS: one.MTLS, Weight: one.Weight, Since: one.Meta.UpdatedAt,
		})
	}
	object := "service/" + string(name)
	for _, one := range u.problems() {
		if one.Object == object || one.Object == storedServices+string(name) {
			out.Problems = append(out.Problems, one.Message)
		}
		out.Broken = out.Broken || one.Object == storedServices+string(name)
	}
	for _, one := range u.all().warnings() {
		if one.Object == object {
			out.Warnings = append(out.Warnings, one.Message)
		}
	}
	if err := u.edgesOf(r.Context(), view, service, &out); err != nil {
		return nil, err
	}
	out.Proxies = u.connected(r, func(s *mesh.ProxyStream) bool { return s.Service == name })
	out.Connected = len(out.Proxies)
	out.Proxies, _ = upTo(rowsShown, out.Proxies)
	out.Changes, out.Reader = u.changesOf(r, service)
	return &answer{Template: "service.html", Data: out}, nil
}

// undeclared says why there is no page of a service.
func (u *UI) undeclared(name mesh.ServiceName) error {
	view := u.cfg.Catalog.View()
	p := &problem{http.StatusNotFound, "No service is called like this", "Nobody has declared it, or it was deleted."}
	switch callers := view.Dependents(name); {
	case view.Unreadable(name):
		p.Title, p.Detail = "This service cannot be read", "What is stored of it in etcd cannot be read; the overview says why. Applying it again mends that."
	case len(callers) > 0:
		names := make([]string, len(callers))
		for i, one := range callers {
			names[i] = string(one)
		}
		p.Title = "Nobody has declared " + string(name) + " yet"
		p.Detail = "It is a dependency of " + strings.Join(names, ", ") + ". Calls to it get a 503 until somebody declares it."
	}
	return p
}

// changesWait bounds how long a page waits for what it can be without.
const changesWait = time.Second

const changesAway = "Who changed what cannot be read now."

// changesOf gives the latest changes of a service, for those who may see them, out
// of its history: the audit is all services'.
func (u *UI) changesOf(r *request, service *mesh.Service) ([]changeRow, string) {
	switch {
	case r.User == nil:
		return nil, "Sign in to see who changed what."
	case !r.User.Token.MayRead(service.Name, []string{service.Owner}):
		return nil, "Its owner and admins see who changed what."
	}
	ctx, cancel := context.WithTimeout(r.Context(), changesWait)
	defer cancel()
	states, err := u.cfg.Registry.ServiceHistory(ctx, service.Name, registry.Only())
	if err == nil {
		states, err = registry.Visible(states, r.User.Token, "service "+string(service.Name), service.Name)
	}
	if err != nil {
		u.logger.Warn("a page lacks who changed what", "error", err)
		return nil, changesAway
	}
	states, _ = upTo(changesShown, states)
	items := serviceLabels()
	var out []changeRow
	for i := range states {
		one := &states[i]
		row := changeRow{At: one.Time, What: cmp.Or(one.Action, "write"), Object: "service/" + string(service.Name), Author: cmp.Or(one.Author, "nobody known"), From: one.Source}
		var fields []string
		for _, field := range one.Changed {
			if one.Action != "create" { // it is what is shown above, or was
				fields = append(fields, labelOr(items, field))
			}
		}
		row.Fields = strings.Join(fields, "; ")
		out = append(out, row)
	}
	return out, ""
}

// changeRow is an entry of the audit, in words.
type changeRow struct {
	At                   time.Time
	What, Object, Path   string
	Author, From, Fields string
	Refused              string // why; "": it was done
}

func changeOf(e *mesh.AuditEntry) changeRow {
	var fields []string
	for _, one := range e.Changes {
		if e.Action == "create" {
			break // it is what is shown above, or was
		}
		field := one.Field
		if one.Before != "" || one.After != "" {
			field += ": " + cmp.Or(one.Before, "nothing") + " → " + cmp.Or(one.After, "nothing")
		}
		fields = append(fields, field)
	}
	row := changeRow{At: e.Time, What: e.Action, Object: e.Object, Path: pathOf(e.Object), Author: cmp.Or(e.Author, "nobody known"), From: e.Source, Fields: strings.Join(fields, "; ")}
	if e.Outcome == mesh.AuditRefused {
		row.Refused = e.Reason
	}
	return row
}

// firstUnhealthy gives so many instances at most, first those that are not healthy.
func firstUnhealthy(all []*mesh.Instance, most int) []*mesh.Instance {
	var out []*mesh.Instance
	for _, well := range []bool{false, true} {
		for _, one := range all {
			if len(out) < most && healthy(one) == well {
				out = append(out, one)
			}
		}
	}
	return out
}

func address(one *mesh.Instance) string { return hostPort(one.Address, one.Port) }

// place names a locality.
func place(l mesh.Locality) string {
	return strings.Trim(l.Region+"/"+l.Zone, "/")
}

// labels writes them in their order.
func labels(all map[string]string) string {
	parts := make([]string, 0, len(all))
	for _, key := range slices.Sorted(maps.Keys(all)) {
		parts = append(parts, key+"="+all[key])
	}
	return strings.Join(parts, ", ")
}

func instanceHealth(one *mesh.Instance) chip {
	switch {
	case one.Stale:
		return chip{"warn", "stale", "its lease ended together with most others of its service; it is kept until it is confirmed gone"}
	case one.Health == mesh.Draining:
		return chip{"info", "draining", "it finishes what it has, and gets nothing new"}
	case one.Health == mesh.Unhealthy:
		return chip{"bad", "unhealthy", "it gets no requests"}
	}
	return chip{"ok", "healthy", ""}
}
