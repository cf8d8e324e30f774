package accesslog

import (
	"cmp"
	"maps"
	"slices"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Edges joins what callers and callees saw: each call once. Callers without
// an identity are known by their address alone (AddressCaller).
func Edges(all []mesh.Sightings) []mesh.Edge {
	type pair struct{ caller, callee string }
	type sides struct{ out, in mesh.Sighting }
	pairs := map[pair]*sides{}
	for _, one := range all {
		for _, row := range one.Rows {
			at := pair{one.Reporter, row.Peer}
			if row.In {
				at = pair{row.Peer, one.Reporter}
			}
			if pairs[at] == nil {
				pairs[at] = &sides{}
			}
			if row.In {
				pairs[at].in.Add(row)
			} else {
				pairs[at].out.Add(row)
			}
		}
	}
	out := make([]mesh.Edge, 0, len(pairs))
	for _, at := range slices.SortedFunc(maps.Keys(pairs), func(a, b pair) int {
		return cmp.Or(cmp.Compare(a.caller, b.caller), cmp.Compare(a.callee, b.callee))
	}) {
		edge := joined(pairs[at].out, pairs[at].in)
		edge.Caller, edge.Callee = at.caller, at.callee
		out = append(out, edge)
	}
	return out
}

// joined is what both sides saw of the same calls. The callee tells of what it
// refused, or would have; the caller of all else, and of that as far as it was told. Of calls in
// plain text the callee alone tells.
func joined(out, in mesh.Sighting) mesh.Edge {
	edge := mesh.Edge{
		Requests: max(out.Requests, in.Requests), Errors: max(out.Errors, in.Errors), Undeclared: out.Undeclared,
		Refused:     out.Refused + in.Refused - min(in.Refused, out.There),
		RequestRate: max(out.Rate, in.Rate), ErrorRate: max(out.ErrorRate, in.ErrorRate),
		RefusedRate: out.RefusedRate + in.RefusedRate - min(in.RefusedRate, out.ThereRate),
	}
	both := out
	both.Add(in)
	edge.FirstSeen, edge.LastSeen, edge.LastRefused, edge.Reason = both.FirstSeen, both.LastSeen, both.LastRefused, both.Reason
	edge.LastAnswered, edge.LastFailed, edge.Failure = both.LastAnswered, both.LastFailed, both.Failure
	return edge
}
