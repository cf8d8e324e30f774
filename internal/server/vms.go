package server

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/placement"
)

func (s *Server) vmOperations() {
	register(s, operation{
		method: http.MethodGet, path: "/api/vms", tag: "machines", id: "listVMs", summary: "List the virtual machines that sources of discovery found",
		description: "With what each is an instance of, and why of nothing. Whoever asks again and again sends the ETag back as If-None-Match: while no machine and no placement has changed the answer is 304 without a body. last_update alone, which moves on with each refresh, is no change; GET /api/discovery has it. GET /api/v1/events tells of each change of a machine as it happens.",
	}, s.listVMs)
	ok := s.documented(operation{method: http.MethodGet, path: "/api/vms"})
	ok.Responses["304"] = notModified()
}

// VMFilter is which machines are asked for.
type VMFilter struct {
	Source  string       `query:"source" maxLength:"63" doc:"Only those that this source found." example:"azure-prod"`
	Service string       `query:"service" maxLength:"63" doc:"Only those that are instances of this service, or whose tags name it." example:"orders"`
	State   mesh.VMState `query:"state" enum:"running,starting,stopping,stopped,deallocated,unknown" doc:"Only those in this state."`
}

// Validate says what is wrong with the filter.
func (f *VMFilter) Validate() error {
	switch f.State {
	case "", mesh.VMRunning, mesh.VMStarting, mesh.VMStopping, mesh.VMStopped, mesh.VMDeallocated, mesh.VMUnknown:
		return nil
	}
	return fault("query.state", "has to be one of running, starting, stopping, stopped, deallocated, unknown")
}

func (f *VMFilter) fits(vm *mesh.ListedVM) bool {
	if f.Source != "" && vm.Source != f.Source || f.State != "" && vm.State != f.State {
		return false
	}
	service := mesh.ServiceName(f.Service)
	return service == "" || slices.ContainsFunc(vm.Services, func(p mesh.VMPlace) bool { return p.Service == service }) ||
		slices.ContainsFunc(vm.Runs, func(r mesh.VMService) bool { return r.Name == service })
}

type vmsAnswer struct {
	Status int
	ETag   string `header:"ETag" doc:"Of the machines and what they are instances of." example:"W/\"42-9f86d081\""`
	Body   mesh.VMList
}

func (s *Server) listVMs(_ context.Context, in *struct {
	Call
	VMFilter
	IfNoneMatch string `header:"If-None-Match" doc:"The ETag of an earlier answer with the same filter." example:"W/\"42-9f86d081\""`
}) (*vmsAnswer, error) {
	if err := in.Validate(); err != nil {
		return nil, err
	}
	view := s.cfg.Catalog.View()
	if !view.Synced() {
		return nil, mesh.Unavailable(nil, "the mesh has not been read from etcd yet")
	}
	all := s.machines(view)
	out := &vmsAnswer{Status: http.StatusOK, ETag: `W/"` + all.Tag + `"`}
	if matchesWeakly(in.request.Header.Values("If-None-Match"), out.ETag) {
		out.Status = http.StatusNotModified
		return out, nil
	}
	out.Body = mesh.VMList{LastUpdate: lastUpdate(view), SnapshotVersion: view.VMRevision(), VMs: []mesh.ListedVM{}}
	for i := range all.List {
		if in.fits(&all.List[i]) {
			out.Body.VMs = append(out.Body.VMs, all.List[i])
		}
	}
	out.Body.TotalVMs = len(out.Body.VMs)
	return out, nil
}

// lastUpdate is since when all of every source is known, or nil.
func lastUpdate(view *catalog.View) *time.Time {
	var oldest *time.Time
	refreshed := view.Roster().Sources
	for _, one := range view.Sources() {
		if len(refreshed) > 0 && !slices.Contains(refreshed, one.Name) {
			continue // what is not refreshed any more would hold it up for ever
		}
		if one.LastSuccess.IsZero() {
			return nil
		}
		if oldest == nil || one.LastSuccess.Before(*oldest) {
			oldest = &one.LastSuccess
		}
	}
	return oldest
}

// matchesWeakly compares as RFC 9110, section 13.1.2 has it.
func matchesWeakly(headers []string, etag string) bool {
	for _, one := range strings.Split(strings.Join(headers, ","), ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == strings.TrimPrefix(etag, "W/") {
			return true
		}
	}
	return false
}

// machines gives the machines of a view, and what they are instances of.
func (s *Server) machines(view *catalog.View) *placement.Shown { return s.cfg.Machines.Of(view) }

// skipped gives the machines of a source that are instances of nothing.
func skipped(all *placement.Shown, source string) (some []mesh.SkippedVM, total int) {
	some = []mesh.SkippedVM{}
	for i := range all.List {
		one := &all.List[i]
		if one.Source != source || len(one.Services) > 0 {
			continue
		}
		if total++; total <= mostSkipped {
			some = append(some, mesh.SkippedVM{ID: one.ID, Name: one.Name, Reasons: slices.Concat(one.NotPlaced, one.Faults)})
		}
	}
	slices.SortStableFunc(some, func(a, b mesh.SkippedVM) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
	})
	return some, total
}
