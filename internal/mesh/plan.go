package mesh

import "time"

// PlanRequest is a set of changes that are not made.
type PlanRequest struct {
	Services  []Service  `json:"services,omitempty" doc:"Declarations that would be created or replaced."`
	Routes    []Route    `json:"routes,omitempty" doc:"Routes that would be created or replaced."`
	Instances []Instance `json:"instances,omitempty" doc:"Instances that would be registered."`
	Runtime   *Runtime   `json:"runtime,omitempty" doc:"The runtime layer that would be written."`
	Delete    []string   `json:"delete,omitempty" doc:"What would be deleted: service/NAME or route/NAME." example:"service/orders"`
}

// Plan is what changes would change in the configuration of sidecars and gateways.
type Plan struct {
	Sidecars  []PlannedSidecar `json:"sidecars" nullable:"false" doc:"Those whose configuration would change, by name."`
	Cut       string           `json:"cut,omitempty" doc:"What a long answer leaves out: the changes of some sidecars are only counted."`
	Unchanged int              `json:"unchanged" doc:"How many others were looked at, and stay as they are."`
	Faults    []PlannedFault   `json:"faults,omitempty" doc:"Why a write would be refused."`
	Warnings  []Warning        `json:"warnings,omitempty" doc:"Warnings that the changes would bring."`
	Problems  []PlannedFault   `json:"problems,omitempty" doc:"What could not be translated as declared, and can be now."`
	Revision  int64            `json:"revision,omitempty" doc:"The registry's revision that the plan is of."`
}

// PlannedFault is something wrong about an object.
type PlannedFault struct {
	Object  string `json:"object" doc:"Its kind and name." example:"service/orders"`
	Field   string `json:"field,omitempty" doc:"The field, as in a refusal."`
	Message string `json:"message" doc:"What is wrong and how to mend it."`
}

// PlannedSidecar is what would change for proxies that are sent the same.
type PlannedSidecar struct {
	Name    string          `json:"name" doc:"The service that the proxies stand beside, or gateway/NAME." example:"web"`
	Proxies int             `json:"proxies" doc:"How many are connected to this server; 0: what one with the default settings would be sent."`
	Summary string          `json:"summary" doc:"What changes, counted." example:"1 cluster changed, 1 route changed"`
	Changes []PlannedChange `json:"changes" nullable:"false" doc:"Each resource that changes, by type and name; none if the answer was cut before."`
}

// PlannedChange is one resource that would change.
type PlannedChange struct {
	Type   string `json:"type" doc:"The type's last word." example:"Cluster"`
	Name   string `json:"name" doc:"Its name." example:"orders"`
	Change string `json:"change" enum:"added,changed,removed" doc:"What becomes of it."`
	Diff   string `json:"diff,omitempty" doc:"A unified diff of it as JSON, cut if it is long."`
}

// Impact is who would feel a change of a service, or its deletion.
type Impact struct {
	Service ServiceName    `json:"service" doc:"The service." example:"orders"`
	Deleted bool           `json:"deleted,omitempty" doc:"The answer is about its deletion."`
	Summary string         `json:"summary" doc:"The answer in one sentence."`
	Callers []ImpactCaller `json:"callers" nullable:"false" doc:"Who calls it, directly first, then those who call its callers."`
	Owners  []string       `json:"owners,omitempty" doc:"Whom to talk to: the owners of direct callers and of routes that lead to it directly, other than the service's own."`
	Routes  []ImpactRoute  `json:"routes,omitempty" doc:"The routes of gateways that lead to it, directly first, then those that lead to its callers."`
	Plan    Plan           `json:"plan" doc:"What the change would change in the configuration of sidecars and gateways."`
}

// ImpactCaller is one who calls the service, itself or by way of others.
type ImpactCaller struct {
	Name     string      `json:"name" doc:"A service, or gateway/NAME." example:"web"`
	Owner    string      `json:"owner,omitempty" doc:"Who answers for it."`
	Distance int         `json:"distance" doc:"1 calls it directly; 2 calls one that does, and so on."`
	Via      ServiceName `json:"via,omitempty" doc:"The service that it calls on the way."`
	Declared bool        `json:"declared" doc:"Whether the call is declared; traffic that is not is told too."`
	Traffic  string      `json:"traffic,omitempty" enum:"seen,never,unknown" doc:"Of direct callers: whether calls were seen. never: not once, while all of the caller was watched for 30 days. unknown: not, but it was not watched like that."`
	LastSeen time.Time   `json:"lastSeen,omitzero" doc:"When a call was seen last."`
	Rate     float64     `json:"rate,omitempty" doc:"Requests a second, over the last minute."`
}

// ImpactRoute is a route that leads to the service, or to one that calls it.
type ImpactRoute struct {
	Name     RouteName     `json:"name" doc:"Its name."`
	Owner    string        `json:"owner" doc:"Who answers for it."`
	Hosts    []string      `json:"hosts" nullable:"false" doc:"Its hosts."`
	Gateways []ServiceName `json:"gateways,omitempty" doc:"The gateways that serve it; left out, all."`
	Via      ServiceName   `json:"via,omitempty" doc:"The caller of the service that it leads to; left out: it leads to the service itself."`
}
