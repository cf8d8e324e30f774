package ui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// routesView is the list of routes.
type routesView struct {
	Rows []routeRow
	New  bool // whoever looks may register one
}

// routeRow is a route in the list.
type routeRow struct {
	Name, Owner, Path  string
	Hosts, To, Through string
	Access             chip
	Mine               bool
	Keeper             mesh.Keeper
	Changed            time.Time
}

func (u *UI) routes(r *request) (*answer, error) {
	view := routesView{New: r.User.MayCreate() && r.User.Token.Service == ""}
	for _, one := range u.cfg.Catalog.View().Routes() {
		row := routeRow{
			Name: string(one.Name), Owner: one.Owner, Hosts: strings.Join(one.Hosts, ", "), Changed: one.Meta.UpdatedAt, Keeper: one.Meta.Keeper,
			Mine: r.User.Admin() || view.New && slices.Contains(r.User.Token.Owners, one.Owner), Access: chip{"none", "open", "everybody is let in"},
		}
		if one.Auth != nil {
			row.Access = chip{"info", one.Auth.Provider, "only who proves who they are"}
		}
		if p := one.Match.Path; p != nil {
			row.Path = p.Exact + p.Regex
			if p.Prefix != "" {
				row.Path = strings.TrimSuffix(p.Prefix, "/") + "/…"
			}
		}
		row.To = targetsOf(one)
		row.Through = "all"
		if len(one.Gateways) > 0 {
			names := make([]string, len(one.Gateways))
			for i, name := range one.Gateways {
				names[i] = string(name)
			}
			row.Through = strings.Join(names, ", ")
		}
		view.Rows = append(view.Rows, row)
	}
	return &answer{Template: "routes.html", Data: view}, nil
}

// targetsOf says where a route leads.
func targetsOf(one *mesh.Route) string {
	if d := one.Redirect; d != nil {
		to := d.Host
		if d.Port != 0 {
			to = fmt.Sprintf("%s:%d", to, d.Port)
		}
		return "redirect to " + to + d.Path
	}
	var parts []string
	for _, backend := range one.Backends {
		part := string(backend.Service)
		if backend.Subset != "" {
			part += "/" + backend.Subset
		}
		if len(one.Backends) > 1 {
			part += fmt.Sprintf(" (%d)", backend.Weight)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}
