package ui

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/placement"
)

const (
	machinesPath   = "/ui/machines"
	machinesOnPage = 100
)

// machinesView is the list of virtual machines, and how their sources do.
type machinesView struct {
	Query, Source, State, Placed string
	Sources                      []sourceRow
	States, Places               []choice
	Rows                         []machineRow
	All, Found, Page, Pages      int
	Before, After                string
}

// machineRow is a machine in the list.
type machineRow struct {
	Name, ID, Source string
	Private, Public  string
	State, Health    chip
	Place, ScaleSet  string
	Services         []machineService
	Why              []string // it is an instance of nothing, and what is wrong with it
	state            mesh.VMState
	text             string // what it is looked for by
}

// machineService is an instance that a machine is.
type machineService struct {
	Name, Path, Instance string
	Port                 mesh.Port
}

// sourceRow is how a source does.
type sourceRow struct {
	Name, Kind, Server string
	State              chip
	Last               time.Time
	Took               string
	Calls, Throttled   int
	Machines           int
	Faults             []string
}

func (u *UI) machinesPage(r *request) (*answer, error) {
	all, query := u.all(), r.URL.Query()
	rows := u.machineRows(all.view)
	view := machinesView{
		Query: query.Get("q"), Source: query.Get("source"), State: query.Get("state"), Placed: query.Get("placed"), All: len(rows), Sources: sourceRows(all.view),
		States: []choice{{"", "Any"}, {"running", "Running"}, {"starting", "Starting"}, {"stopping", "Stopping"}, {"stopped", "Stopped"}, {"deallocated", "Deallocated"}, {"unknown", "Unknown"}},
		Places: []choice{{"", "Any"}, {"yes", "Of a service"}, {"no", "Of none"}},
	}
	text := strings.ToLower(strings.TrimSpace(view.Query))
	var found []*machineRow
	for i := range rows {
		if one := &rows[i]; one.fits(text, &view) {
			found = append(found, one)
		}
	}
	view.Found, view.Pages = len(found), max(1, (len(found)+machinesOnPage-1)/machinesOnPage)
	asked, _ := strconv.Atoi(query.Get("page")) // what is no number is the first page
	view.Page = min(max(asked, 1), view.Pages)
	for _, one := range found[min((view.Page-1)*machinesOnPage, len(found)):min(view.Page*machinesOnPage, len(found))] {
		view.Rows = append(view.Rows, *one)
	}
	if view.Page > 1 {
		view.Before = with(machinesPath, query, "page", strconv.Itoa(view.Page-1))
	}
	if view.Page < view.Pages {
		view.After = with(machinesPath, query, "page", strconv.Itoa(view.Page+1))
	}
	return &answer{Template: "machines.html", Data: view}, nil
}

func (m *machineRow) fits(text string, view *machinesView) bool {
	return (text == "" || strings.Contains(m.text, text)) && (view.Source == "" || m.Source == view.Source) && (view.State == "" || string(m.state) == view.State) &&
		(view.Placed == "" || (view.Placed == "yes") == (len(m.Services) > 0))
}

// machineRows are those of a placement, by name.
type machineRows struct {
	of   *placement.Shown
	rows []machineRow
}

// machineRows gives all machines, made anew when something has changed of them.
func (u *UI) machineRows(view *catalog.View) []machineRow {
	shown := u.cfg.Machines.Of(view)
	if made := u.machines.Load(); made != nil && made.of == shown {
		return made.rows
	}
	made := &machineRows{shown, newMachineRows(shown.List)}
	u.machines.Store(made)
	return made.rows
}

func newMachineRows(list []mesh.ListedVM) []machineRow {
	rows := make([]machineRow, 0, len(list))
	for i := range list {
		vm := &list[i]
		row := machineRow{
			Name: cmp.Or(vm.Name, vm.ID), ID: vm.ID, Source: vm.Source, Private: vm.PrivateIP, Public: vm.PublicIP, ScaleSet: vm.ScaleSet,
			State: stateOfVM(vm.State), Health: healthOfVM(vm.Health), Place: place(mesh.Locality{Region: vm.Region, Zone: vm.Zone}), state: vm.State,
			Why: slices.Concat(vm.NotPlaced, vm.Faults),
		}
		words := []string{vm.Name, vm.ID, vm.PrivateIP, vm.PublicIP, vm.ScaleSet}
		for _, one := range vm.Services {
			row.Services = append(row.Services, machineService{string(one.Service), "/ui/services/" + url.PathEscape(string(one.Service)), string(one.Instance), one.Port})
			words = append(words, string(one.Service), string(one.Instance))
		}
		for _, one := range vm.Runs {
			words = append(words, string(one.Name))
		}
		row.text = strings.ToLower(strings.Join(words, "\n"))
		rows = append(rows, row)
	}
	slices.SortStableFunc(rows, func(a, b machineRow) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Source, b.Source), strings.Compare(a.ID, b.ID))
	})
	return rows
}

func stateOfVM(state mesh.VMState) chip {
	switch state {
	case mesh.VMRunning:
		return chip{"ok", string(state), ""}
	case mesh.VMStarting:
		return chip{"info", string(state), "it gets requests once it runs"}
	case mesh.VMStopping:
		return chip{"warn", string(state), "it drains"}
	case mesh.VMUnknown:
		return chip{"none", string(state), "the source does not say: it is taken to run"}
	}
	return chip{"none", string(state), "it gets no requests"}
}

func healthOfVM(health mesh.VMHealth) chip {
	switch health {
	case mesh.VMHealthy:
		return chip{"ok", string(health), ""}
	case mesh.VMUnhealthy:
		return chip{"bad", string(health), "says the cloud of the application on it"}
	}
	return chip{"none", string(health), "the cloud does not look"}
}

// sourceRows says how the sources do, those that fail first.
func sourceRows(view *catalog.View) []sourceRow {
	var rows []sourceRow
	for _, one := range view.Sources() {
		row := sourceRow{
			Name: one.Name, Kind: one.Kind, Server: one.Server, Last: one.LastRun, Took: fmt.Sprintf("%.0f ms", one.DurationMS),
			Calls: one.Calls, Throttled: one.Throttled, Machines: one.VMs, State: chip{"ok", "whole", "the latest refresh had all of it"},
		}
		if one.Error != "" {
			row.Faults = append(row.Faults, one.Error)
		}
		for _, scope := range one.Scopes {
			if scope.Error != "" {
				row.Faults = append(row.Faults, scope.Name+": "+scope.Fault())
			}
		}
		now := time.Now()
		for _, scope := range one.Stale(now) {
			row.Faults = append(row.Faults, fmt.Sprintf("%s: %s; they stay. %s", scope.Name, scope.Unconfirmed(now), scope.Remedy(one.Name)))
		}
		switch {
		case !slices.Contains(view.Roster().Sources, one.Name):
			row.State = chip{"warn", "not refreshed", "no server refreshes it now; what was known of it stays"}
		case len(row.Faults) > 0:
			row.State = chip{"bad", "failing", "the latest refresh did not have all of it; what was known of it stays"}
		}
		row.Faults, _ = upTo(rowsShown, row.Faults)
		rows = append(rows, row)
	}
	slices.SortStableFunc(rows, func(a, b sourceRow) int { return cmp.Compare(sourceRank[a.State.Kind], sourceRank[b.State.Kind]) })
	return rows
}

var sourceRank = map[string]int{"bad": 0, "warn": 1, "ok": 2} //nolint:gochecknoglobals // never changed
