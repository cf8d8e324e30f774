package ui

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// edgeRow is a call between the service of a page and another one.
type edgeRow struct {
	Name, Path, Owner string // the other one's
	State             chip
	Requests, Errors  string
	Rate              string
	Last              time.Time
}

// edgeTable is a table of them.
type edgeTable struct {
	Rows    []edgeRow
	Traffic bool // it has columns of what was seen
	Caption string
}

// edgeWords say what the states of a call mean, whichever end one looks from.
var edgeWords = map[mesh.EdgeState]chip{
	mesh.EdgeSeen:       {"ok", "in use", "declared, and seen"},
	mesh.EdgeDeclared:   {"none", "declared", "declared; no call was seen lately, as far as it is watched"},
	mesh.EdgeUnused:     {"none", "unused", "declared, and not called for a long time"},
	mesh.EdgePending:    {"warn", "pending", "nobody has declared the callee: calls get a 503"},
	mesh.EdgeUnapproved: {"warn", "needs approval", "the callee's owner has not approved this caller"},
	mesh.EdgeRefused:    {"bad", "refused", "calls were refused in the last hour, and none was answered since"},
	mesh.EdgeUndeclared: {"bad", "undeclared", "it was tried, but the caller does not declare it"},
}

// edgesOf fills in whom a service calls and who calls it, as declared and as seen.
func (u *UI) edgesOf(ctx context.Context, view *catalog.View, service *mesh.Service, out *serviceView) error {
	now, name := time.Now(), string(service.Name)
	seen, err := u.seenCalls(ctx)
	if err != nil {
		return err
	}
	out.Traffic = u.cfg.Observed != nil
	around, err := u.part(ctx, view, now, part{focus: name, depth: 1})
	if err != nil {
		return err
	}
	errors := map[[2]string]uint64{}
	for i := range seen.Edges {
		if one := &seen.Edges[i]; one.Errors > 0 && (one.Caller == name || one.Callee == name) {
			errors[[2]string{one.Caller, one.Callee}] = one.Errors
		}
	}
	for i := range around.Edges {
		one := &around.Edges[i]
		failed := errors[[2]string{one.From, one.To}]
		if one.From == name {
			out.Calls = append(out.Calls, edgeTo(view, one, one.To, failed))
		}
		if one.To == name {
			out.Callers = append(out.Callers, edgeTo(view, one, one.From, failed))
		}
	}
	return nil
}

// edgeTo is the row of a call, with the other end's name.
func edgeTo(view *catalog.View, e *mesh.TopologyEdge, other string, failed uint64) edgeRow {
	row := edgeRow{Name: other, State: edgeWords[e.State], Last: e.LastSeen}
	if e.Reason != "" && (e.State == mesh.EdgeRefused || e.State == mesh.EdgeUndeclared) {
		row.State.Title += ": " + e.Reason
	}
	if service, declared := view.Service(mesh.ServiceName(other)); declared {
		row.Path, row.Owner = pathOf("service/"+other), service.Owner
	}
	if e.Requests > 0 {
		row.Requests, row.Errors = thousands(e.Requests), "0"
		if failed > 0 {
			row.Errors = fmt.Sprintf("%s (%s)", thousands(failed), share(failed, e.Requests))
		}
	}
	if e.RequestRate > 0 {
		row.Rate = fmt.Sprintf("%.3g/s", e.RequestRate)
	}
	if e.State == mesh.EdgeSeen && e.ErrorRate > failing*e.RequestRate {
		row.State = chip{"bad", "failing", "more than one in twenty calls of the last minute failed"}
	}
	return row
}

// failing is the share of errors from which on calls count as failing.
const failing = 0.05

// thousands writes a number in groups of three digits.
func thousands(n uint64) string {
	text := strconv.FormatUint(n, 10)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// share writes a part as a percentage that is never rounded to nothing or to all.
func share(part, whole uint64) string {
	percent := 100 * float64(part) / float64(cmp.Or(whole, 1))
	switch {
	case percent < 0.1:
		return "<0.1%"
	case percent > 99.9 && part != whole:
		return ">99.9%"
	}
	return fmt.Sprintf("%.3g%%", percent)
}

func hostPort(host string, port mesh.Port) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}
