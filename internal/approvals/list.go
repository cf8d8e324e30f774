package approvals

import (
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// State is how far a caller has come.
type State string

// The states of an approval.
const (
	Given   State = "approved"
	Pending State = "pending"
	Refused State = "refused"
)

// Approval is a caller of a service that takes calls from approved callers only.
type Approval struct {
	Callee      mesh.ServiceName `json:"callee" doc:"The service that is called." example:"orders"`
	Caller      string           `json:"caller" doc:"The service that calls it, or gateway/NAME." example:"web"`
	State       State            `json:"state" enum:"approved,pending,refused" doc:"pending: it is declared, and the callee's owner has not decided. refused: the callee's owner does not want it."`
	Declared    bool             `json:"declared" doc:"Whether the caller has declared the callee; without that it may not call, approved or not. Of a gateway: whether a route that names the gateway leads to the callee."`
	Owner       string           `json:"owner" doc:"The callee's, who approves." example:"team-shop"`
	CallerOwner string           `json:"callerOwner,omitempty" doc:"The caller's, who has declared the callee." example:"team-web"`
}

// List gives the edges of the services that take approved callers only, in the
// services' order, and by caller.
func List(services []*mesh.Service, routes []*mesh.Route) []Approval {
	declared := map[mesh.ServiceName]map[string]string{} // by callee and caller: the caller's owner
	for _, one := range services {
		if one.Access.Callers == mesh.ApprovedCallers {
			declared[one.Name] = map[string]string{}
		}
	}
	note := func(callee mesh.ServiceName, caller, owner string) {
		if callers := declared[callee]; callers != nil {
			callers[caller] = owner
		}
	}
	for _, one := range services {
		for _, callee := range one.Dependencies {
			note(callee, string(one.Name), one.Owner)
		}
	}
	for _, one := range routes {
		for _, callee := range one.Services() {
			for _, gateway := range one.Gateways {
				note(callee, mesh.GatewayCaller(gateway), one.Owner)
			}
		}
	}
	var all []Approval
	for _, callee := range services {
		if callee.Access.Callers != mesh.ApprovedCallers {
			continue
		}
		of := len(all)
		for caller, owner := range declared[callee.Name] {
			state := Pending
			if callee.Access.Admits(caller) {
				state = Given
			} else if callee.Access.Refuses(caller) {
				state = Refused
			}
			all = append(all, Approval{Callee: callee.Name, Caller: caller, State: state, Declared: true, Owner: callee.Owner, CallerOwner: owner})
		}
		decided := func(callers []string, state State) {
			for _, caller := range callers {
				if _, is := declared[callee.Name][caller]; !is {
					all = append(all, Approval{Callee: callee.Name, Caller: caller, State: state, Owner: callee.Owner})
				}
			}
		}
		decided(callee.Access.Approved, Given)
		decided(callee.Access.Refused, Refused)
		slices.SortFunc(all[of:], func(a, b Approval) int { return strings.Compare(a.Caller, b.Caller) })
	}
	return all
}
