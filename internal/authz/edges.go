package authz

import "github.com/heddle-mesh/heddle/internal/mesh"

// Reason is why a caller may not call a callee.
type Reason string

// The reasons. They go out as they are, in bodies and logs: what is there stays.
const (
	Allowed       Reason = ""
	Undeclared    Reason = "undeclared"     // the caller has not declared the dependency
	Unapproved    Reason = "unapproved"     // the callee's owner has not approved the caller
	UnknownCaller Reason = "unknown_caller" // nobody has declared the caller
	UnknownCallee Reason = "unknown_callee" // nobody has declared the callee
	NotRouted     Reason = "not_routed"     // no route that the gateway serves names the callee
	NoIdentity    Reason = "no_identity"    // nothing proves who calls
	NoCallee      Reason = "no_callee"      // the sidecar's route does not say what is called
)

// Edge is the answer to who may call whom.
type Edge struct {
	Reason      Reason           // Allowed, or why not
	Enforcement mesh.Enforcement // what becomes of a refused one; "" is mesh.Deny
}

// Edges knows who may call whom.
type Edges interface {
	// Edge is asked for each request, so it must be quick. Unavailable: it does
	// not know the mesh yet.
	Edge(caller Caller, callee mesh.ServiceName) (Edge, error)
}
