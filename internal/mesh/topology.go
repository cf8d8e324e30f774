package mesh

import (
	"slices"
	"time"
)

// Topology is the picture of the mesh, or of one service and its neighbours: who
// is there, who calls whom, and how declarations and what was seen agree.
type Topology struct {
	Revision int64          `json:"revision,omitempty" doc:"The registry's revision that the declarations are of."`
	Focus    string         `json:"focus,omitempty" doc:"The node in the middle; left out, the whole mesh is shown." example:"orders"`
	Depth    int            `json:"depth,omitempty" doc:"How many calls away from the focus nodes are shown."`
	Width    float64        `json:"width,omitempty" doc:"Of the drawing, in pixels; with layout."`
	Height   float64        `json:"height,omitempty" doc:"Of the drawing, in pixels; with layout."`
	Nodes    []TopologyNode `json:"nodes" nullable:"false" doc:"By ID."`
	Edges    []TopologyEdge `json:"edges" nullable:"false" doc:"By caller and callee."`
}

// TopologyNode is somebody who calls or is called.
type TopologyNode struct {
	ID          string     `json:"id" doc:"The service's name, gateway/NAME, or the host of an undeclared call to something unknown. gateway/* stands for gateways that nobody names." example:"orders"`
	Kind        NodeKind   `json:"kind" enum:"service,gateway,unknown" doc:"What it is. unknown: nobody declares it."`
	Owner       string     `json:"owner,omitempty" doc:"Who answers for it." example:"team-shop"`
	Protocol    Protocol   `json:"protocol,omitempty" doc:"What it speaks."`
	Tier        int        `json:"tier,omitempty" doc:"How critical it is, 1 most, 4 least; left out: not said."`
	Deprecated  string     `json:"deprecated,omitempty" doc:"Why it should not be called any more, and what to use instead."`
	Health      NodeHealth `json:"health" enum:"healthy,degraded,down,none,pending,unknown" doc:"From its instances. degraded: some take no requests or have lost their lease; down: none takes any; none: there are none; pending: others declare it, and it is not declared itself; unknown: its instances are not registered here."`
	Instances   int        `json:"instances" doc:"How many are registered."`
	Healthy     int        `json:"healthy" doc:"How many of them take requests."`
	RequestRate float64    `json:"requestRate,omitempty" doc:"Requests to it a second, over the last minute."`
	ErrorRate   float64    `json:"errorRate,omitempty" doc:"Errors of them a second."`
	Box         *Box       `json:"box,omitempty" doc:"Where it is drawn; with layout."`
}

// NodeKind is what a node of the topology is.
type NodeKind string

// The kinds of nodes.
const (
	ServiceNode NodeKind = "service"
	GatewayNode NodeKind = "gateway"
	UnknownNode NodeKind = "unknown"
)

// NodeHealth is how a node's instances are, taken together.
type NodeHealth string

// The healths of nodes.
const (
	NodeHealthy  NodeHealth = "healthy"
	NodeDegraded NodeHealth = "degraded"
	NodeDown     NodeHealth = "down"
	NodeNone     NodeHealth = "none"
	NodePending  NodeHealth = "pending"
	NodeUnknown  NodeHealth = "unknown"
)

// TopologyEdge is that one calls another, or may, or tried to.
type TopologyEdge struct {
	From         string    `json:"from" doc:"The caller's ID." example:"web"`
	To           string    `json:"to" doc:"The callee's ID." example:"orders"`
	State        EdgeState `json:"state" enum:"undeclared,pending,unapproved,refused,seen,unused,declared" doc:"What there is to say of it first. undeclared: tried, and not declared; pending: the callee is not declared; unapproved: the callee's owner has not approved the caller; refused: a call was refused in the last hour, and none was answered since; seen: called within unusedAfter; unused: declared and not called for so long; declared: not called yet."`
	Declared     bool      `json:"declared,omitempty" doc:"Whether the caller declares the callee; of a gateway, whether a route leads there."`
	Requests     uint64    `json:"requests,omitempty" doc:"Requests since firstSeen; of TCP, connections."`
	RequestRate  float64   `json:"requestRate,omitempty" doc:"Requests a second, over the last minute."`
	ErrorRate    float64   `json:"errorRate,omitempty" doc:"Errors a second, over the last minute."`
	RefusedRate  float64   `json:"refusedRate,omitempty" doc:"Refusals a second, over the last minute."`
	FirstSeen    time.Time `json:"firstSeen,omitzero" doc:"When a call was seen first; left out: never."`
	LastSeen     time.Time `json:"lastSeen,omitzero" doc:"When a call was seen last."`
	LastRefused  time.Time `json:"lastRefused,omitzero" doc:"When a call was refused last; left out: never."`
	Reason       string    `json:"reason,omitempty" doc:"Why it was refused last, as in the header x-heddle-reason." example:"undeclared"`
	LastAnswered time.Time `json:"lastAnswered,omitzero" doc:"When a call was answered last, neither with an error nor with a refusal; left out: never."`
	Backwards    bool      `json:"backwards,omitempty" doc:"It closes a circle of calls, and is drawn from right to left; with layout."`
	Path         []Point   `json:"path,omitempty" doc:"Where it is drawn: from the caller's box to the callee's, by way of points that are to be joined by smooth curves; with layout."`
}

// EdgeState is what there is to say of an edge first.
type EdgeState string

// The states of edges, the one that wins first.
const (
	EdgeUndeclared EdgeState = "undeclared"
	EdgePending    EdgeState = "pending"
	EdgeUnapproved EdgeState = "unapproved"
	EdgeRefused    EdgeState = "refused"
	EdgeSeen       EdgeState = "seen"
	EdgeUnused     EdgeState = "unused"
	EdgeDeclared   EdgeState = "declared"
)

// Urgency sorts edges so that those that need somebody come first.
func (s EdgeState) Urgency() int {
	return slices.Index([]EdgeState{EdgeRefused, EdgeUndeclared, EdgeUnapproved, EdgePending, EdgeUnused, EdgeSeen, EdgeDeclared}, s)
}

// Point is a place in a drawing, in pixels from its upper left corner.
type Point struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// Box is a rectangle in a drawing.
type Box struct {
	X      float64 `json:"x" doc:"Of its left side."`
	Y      float64 `json:"y" doc:"Of its upper side."`
	Width  float64 `json:"width"`
	Height float64 `json:"height"`
}
