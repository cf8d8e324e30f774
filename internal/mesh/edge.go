package mesh

import "time"

// Edge is what was seen of the calls from one caller to one callee.
type Edge struct {
	Caller     string `json:"caller" doc:"Who calls: a service, or gateway/NAME." example:"web"`
	Callee     string `json:"callee" doc:"Whom: a service; of an undeclared call to something unknown, the host that was asked for." example:"orders"`
	Declared   bool   `json:"declared,omitempty" doc:"Whether the caller declares it now; of a gateway, whether a route leads there."`
	Requests   uint64 `json:"requests" doc:"Requests since firstSeen; of TCP, connections. Of all kinds: the next three are part of it."`
	Errors     uint64 `json:"errors" doc:"Those with an answer of 5xx, of gRPC with a grpc-status that says the same, or without a connection; refusals aside."`
	Refused    uint64 `json:"refused" doc:"Those that a sidecar or a gateway refused; where the callee's enforcement is observe or warn, those that it would have refused."`
	Undeclared uint64 `json:"undeclared" doc:"Those that were refused for want of a declaration."`

	RequestRate float64 `json:"requestRate" doc:"Requests a second, over the last minute."`
	ErrorRate   float64 `json:"errorRate" doc:"Errors a second, over the last minute."`
	RefusedRate float64 `json:"refusedRate" doc:"Refusals a second, over the last minute."`

	FirstSeen   time.Time `json:"firstSeen,omitzero" doc:"When it was seen first; left out: never."`
	LastSeen    time.Time `json:"lastSeen,omitzero" doc:"When it was seen last."`
	LastRefused time.Time `json:"lastRefused,omitzero" doc:"When it was refused last; left out: never."`
	Reason      string    `json:"reason,omitempty" doc:"Why it was refused last, as in the header x-heddle-reason." example:"undeclared"`

	LastAnswered time.Time `json:"lastAnswered,omitzero" doc:"When it was answered last, neither with an error nor with a refusal; of TCP, when a connection was made; left out: never."`
	LastFailed   time.Time `json:"lastFailed,omitzero" doc:"When it ended with an error last; left out: never."`
	Failure      string    `json:"failure,omitempty" doc:"What its caller saw of that: the status (of gRPC the grpc-status) and x-heddle-reason; no-answer if the caller's own proxy answered and gave no reason; of TCP no-connection." example:"503 unreached"`
}

// FailureGRPC begins what is told of an error of a gRPC call; the number follows.
const FailureGRPC = "grpc-status "
