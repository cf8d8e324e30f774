package mesh

import "time"

// Drift is where declarations and what proxies saw of calls do not agree.
type Drift struct {
	Since      time.Time   `json:"since,omitzero" doc:"Since when calls are watched; left out: they are not."`
	UnusedDays int         `json:"unusedDays" doc:"For how many days a declared call has to be missing to count as unused."`
	Items      []DriftItem `json:"items" nullable:"false" doc:"What does not agree, by kind, caller and callee."`
}

// DriftItem is one of them.
type DriftItem struct {
	Kind        DriftKind `json:"kind" enum:"undeclared,refused,unused,unseen,plain" doc:"undeclared: attempted, and not declared; refused: declared or not, a sidecar refused it (or would have: enforcement observe and warn) for another reason, and no call was answered since; unused: declared, and not seen for unusedDays; unseen: declared and not seen, but watched for a shorter time; plain: called in plain text by an address."`
	Caller      string    `json:"caller" doc:"Who calls: a service, gateway/NAME, or address/IP." example:"web"`
	Callee      string    `json:"callee" doc:"Whom: a service or a host." example:"orders"`
	CallerOwner string    `json:"callerOwner,omitempty" doc:"Who answers for the caller's declaration."`
	Count       uint64    `json:"count" doc:"How often it was attempted, refused or called."`
	Reason      string    `json:"reason,omitempty" doc:"Why it was refused last, as in x-heddle-reason." example:"caller"`
	FirstSeen   time.Time `json:"firstSeen,omitzero" doc:"When it was seen first."`
	LastSeen    time.Time `json:"lastSeen,omitzero" doc:"When it was seen last; left out: never."`
	LastRefused time.Time `json:"lastRefused,omitzero" doc:"When it was refused last."`
	Watching    time.Time `json:"watching,omitzero" doc:"Since when the caller's proxies are watched; of unused and unseen."`
	Blind       bool      `json:"blind,omitempty" doc:"The caller has gRPC clients without a sidecar, which report nothing; of unseen."`
	Declarable  bool      `json:"declarable,omitempty" doc:"One step mends it: adding the callee to the caller's dependencies."`
	Message     string    `json:"message" doc:"What it is, in words."`
	Mend        string    `json:"mend,omitempty" doc:"The command, or what else there is to do."`
}

// DriftKind is how declarations and calls do not agree.
type DriftKind string

// The kinds, worst first.
const (
	DriftUndeclared DriftKind = "undeclared"
	DriftRefused    DriftKind = "refused"
	DriftUnused     DriftKind = "unused"
	DriftUnseen     DriftKind = "unseen"
	DriftPlain      DriftKind = "plain"
)

// Fails says whether a kind is something that has to be mended, rather than
// something that is not known yet or goes on as it may.
func (k DriftKind) Fails() bool {
	return k == DriftUndeclared || k == DriftRefused || k == DriftUnused
}
