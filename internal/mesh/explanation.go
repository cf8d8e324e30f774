package mesh

// Explanation says why one service can call another, or cannot: step by step, in
// the order in which a call meets what decides on it.
type Explanation struct {
	From     string            `json:"from" doc:"Who calls: a service, or gateway/NAME." example:"web"`
	To       ServiceName       `json:"to" doc:"Who is called." example:"orders"`
	Request  ExplainedRequest  `json:"request" doc:"The request that the answer is about."`
	Verdict  ExplainedVerdict  `json:"verdict" enum:"allowed,uncertain,stopped" doc:"allowed: it arrives at the service. uncertain: it is declared and allowed, and not known to arrive, for the reasons of the steps with doubt. stopped: it does not arrive."`
	Status   int               `json:"status,omitempty" doc:"The HTTP status that the caller sees of a call that is stopped; left out: it sees no answer, but a connection that is refused or closed. What a service answers itself is not known."`
	Reason   string            `json:"reason,omitempty" doc:"The x-heddle-reason of that answer." example:"undeclared"`
	Summary  string            `json:"summary" doc:"The answer in one sentence."`
	Stopped  string            `json:"stopped,omitempty" doc:"The ID of the first step that stops the call." example:"dependency"`
	Mend     string            `json:"mend,omitempty" doc:"The command that mends that." example:"heddle approve orders web"`
	Some     []ExplainedAnswer `json:"some,omitempty" doc:"What a part of the requests gets instead, as when one of several weighted subsets is empty."`
	Steps    []ExplainedStep   `json:"steps" nullable:"false" doc:"All steps, in order."`
	Revision int64             `json:"revision,omitempty" doc:"The registry's revision that the answer is of."`
}

// ExplainedVerdict says whether a call arrives.
type ExplainedVerdict string

// The verdicts.
const (
	CallAllowed   ExplainedVerdict = "allowed"
	CallUncertain ExplainedVerdict = "uncertain"
	CallStopped   ExplainedVerdict = "stopped"
)

// ExplainedRequest is a request as its caller sends it.
type ExplainedRequest struct {
	Protocol Protocol          `json:"protocol,omitempty" doc:"What the service speaks."`
	Scheme   string            `json:"scheme,omitempty" enum:"http,https" doc:"How a gateway is asked; default https if it has a port for it."`
	Method   string            `json:"method,omitempty" doc:"Default GET."`
	Host     string            `json:"host,omitempty" doc:"Default: the service's name; at a gateway a host of a route to it."`
	Path     string            `json:"path,omitempty" doc:"Default /."`
	Headers  map[string]string `json:"headers,omitempty" doc:"Others that routes may match."`
}

// ExplainedAnswer is what a caller sees.
type ExplainedAnswer struct {
	Status  int     `json:"status,omitempty" doc:"The HTTP status; left out: a connection that is refused or closed."`
	Reason  string  `json:"reason,omitempty" doc:"The x-heddle-reason."`
	Text    string  `json:"text,omitempty" doc:"It in words."`
	Percent float64 `json:"percent,omitempty" doc:"Of how many requests in a hundred."`
}

// StepStatus is what became of a step.
type StepStatus string

// The states of a step.
const (
	StepOK         StepStatus = "ok"
	StepStops      StepStatus = "stops"
	StepWarns      StepStatus = "warns"      // it is not known to stop the call, and should be looked at
	StepUnknown    StepStatus = "unknown"    // this server cannot know
	StepNotReached StepStatus = "notReached" // an earlier step stops the call
)

// ExplainedStep is one thing that has to be so for a call to arrive.
type ExplainedStep struct {
	ID       string              `json:"id" doc:"Its name, which does not change." example:"endpoints"`
	Title    string              `json:"title" doc:"What is asked." example:"Has it healthy instances?"`
	Status   StepStatus          `json:"status" enum:"ok,stops,warns,unknown,notReached" doc:"What came of it."`
	Doubt    bool                `json:"doubt,omitempty" doc:"For what this step says the call is not known to arrive; of warns and unknown."`
	Text     string              `json:"text,omitempty" doc:"That in one sentence."`
	Evidence []ExplainedEvidence `json:"evidence,omitempty" doc:"What it follows from."`
	Mend     string              `json:"mend,omitempty" doc:"The command that mends it." example:"heddle get instances orders -o wide"`
	Sees     *ExplainedAnswer    `json:"sees,omitempty" doc:"What the caller sees, of the step that stops the call."`
}

// ExplainedEvidence is an object, or a resource of Envoy's, and what it says.
type ExplainedEvidence struct {
	Object   string `json:"object,omitempty" doc:"A declaration, an instance or a proxy." example:"service/orders"`
	Revision int64  `json:"revision,omitempty" doc:"The object's revision."`
	Author   string `json:"author,omitempty" doc:"Who wrote that; told to those whom the audit tells it."`
	Resource string `json:"resource,omitempty" doc:"The type and name of a resource that proxies are sent." example:"RouteConfiguration outbound.web"`
	Says     string `json:"says,omitempty" doc:"What it says about the call."`
}
