package mesh

import (
	"slices"
	"time"
)

// Protocol is what a service speaks on its port.
type Protocol string

// The protocols. HTTP is HTTP/1.1 (WebSocket upgrades included), HTTP2 is
// HTTP/2 without TLS (h2c), GRPC is HTTP2 with gRPC's health and retry rules.
const (
	HTTP  Protocol = "http"
	HTTP2 Protocol = "http2"
	GRPC  Protocol = "grpc"
	TCP   Protocol = "tcp"
)

// IsHTTP says whether requests can be routed one by one.
func (p Protocol) IsHTTP() bool { return p == HTTP || p == HTTP2 || p == GRPC }

// Service is what an owner declares: a service, how it is reached, and which
// services it calls. Scope, routing and authorization follow from it.
type Service struct {
	Name         ServiceName   `json:"name" doc:"A DNS label, unique in the mesh." example:"orders"`
	Owner        string        `json:"owner" doc:"The team or person who answers for the service." example:"team-shop"`
	Description  string        `json:"description,omitempty" doc:"What the service is for."`
	Tier         int           `json:"tier,omitempty" minimum:"0" maximum:"4" doc:"How critical it is: 1 most, 4 least; 0 or left out, not said. A call to a less critical service is warned of." example:"1"`
	Deprecated   string        `json:"deprecated,omitempty" doc:"Why it is no longer to be called, and what to use instead, on one line. Whoever still declares it is warned." example:"use billing instead; payments is switched off in March"`
	Protocol     Protocol      `json:"protocol" enum:"http,http2,grpc,tcp" doc:"What the service speaks."`
	Port         Port          `json:"port" minimum:"1" maximum:"65535" doc:"Where callers dial the service."`
	Dependencies []ServiceName `json:"dependencies" nullable:"false" doc:"The services it calls, itself included if it does. Required: an empty list means that it calls nothing."`
	Endpoints    Endpoints     `json:"endpoints,omitzero" doc:"Where its instances come from; left out, they are registered one by one."`
	ListenerPort Port          `json:"listenerPort,omitempty" minimum:"1" maximum:"65535" doc:"A port of its own on each caller's sidecar. TCP services always have one: this, or else their port."`
	HealthCheck  *HealthCheck  `json:"healthCheck,omitempty" doc:"Active checks that each caller's sidecar makes."`
	Traffic      Traffic       `json:"traffic,omitzero" doc:"Timeouts, retries, load balancing and limits of calls to it."`
	Subsets      []Subset      `json:"subsets,omitempty" doc:"Named groups of its instances, by label."`
	Routes       []RouteRule   `json:"routes,omitempty" doc:"Rules tried in order for each request to it; none means all instances."`
	Access       Access        `json:"access,omitzero" doc:"Who may call it, and how that is enforced."`
	Meta         Meta          `json:"meta,omitzero" doc:"Set by the registry."`
}

// Access says who may call a service, and how that is enforced.
type Access struct {
	Callers     CallerPolicy `json:"callers,omitempty" enum:"open,approved" doc:"Who may call it: open (default), whoever has declared it; approved, those of them who are in approved."`
	Approved    []string     `json:"approved,omitempty" doc:"The callers that its owner has approved: names of services, and gateways as gateway/NAME. For callers: approved."`
	Refused     []string     `json:"refused,omitempty" doc:"The callers that its owner has refused: they wait for no approval any more. For callers: approved."`
	MTLS        MTLS         `json:"mtls,omitempty" enum:"permissive,strict" doc:"Whether its sidecars take calls in plain text, from callers that have no identity: permissive does, strict does not. Default: the server's --mtls."`
	Enforcement Enforcement  `json:"enforcement,omitempty" enum:"observe,warn,deny" doc:"Calls that are not allowed, of those that are not refused by the caller's own sidecar already: observe lets them pass and logs them, warn adds the header x-heddle-warning, deny (default) refuses them."`
}

// CallerPolicy is who may call a service.
type CallerPolicy string

// The caller policies.
const (
	OpenCallers     CallerPolicy = "open" // default
	ApprovedCallers CallerPolicy = "approved"
)

// MTLS is whether a sidecar demands that callers prove who they are.
type MTLS string

// The modes of mutual TLS.
const (
	Permissive MTLS = "permissive" // for migration
	Strict     MTLS = "strict"
)

// gatewayCaller begins the name of a gateway among callers.
const gatewayCaller = "gateway/"

// GatewayCaller is how a gateway is named among callers.
func GatewayCaller(name ServiceName) string { return gatewayCaller + string(name) }

// Admits says whether a caller that has declared the service, or a gateway with a
// route to it (see [GatewayCaller]), may call it.
func (a *Access) Admits(caller string) bool {
	return a.Callers != ApprovedCallers || slices.Contains(a.Approved, caller)
}

// Refuses says whether the owner has decided that a caller may not call the service.
// One that is neither admitted nor refused waits for the decision.
func (a *Access) Refuses(caller string) bool {
	return !a.Admits(caller) && slices.Contains(a.Refused, caller)
}

// Enforcement is what becomes of a call that is to be refused.
type Enforcement string

// The ladder, on which an owner goes from watching to refusing.
const (
	Observe Enforcement = "observe"
	Warn    Enforcement = "warn"
	Deny    Enforcement = "deny" // default
)

// Meta is what the registry knows about a stored object. Writers send Revision
// back; the rest is set by the registry and ignored on input.
type Meta struct {
	Revision  int64     `json:"revision,omitempty" doc:"etcd's ModRevision. Sent back on a write, a stale one is refused with 409."`
	Author    string    `json:"author,omitempty" doc:"Who wrote it last; told to those whom the audit tells it." readOnly:"true"`
	Source    string    `json:"source,omitempty" doc:"By which way it was written: rest, grpc, ui or kubernetes." readOnly:"true"`
	UpdatedAt time.Time `json:"updatedAt,omitzero" doc:"When it was written last." readOnly:"true"`
	Keeper    Keeper    `json:"keeper,omitempty" doc:"Who keeps it, and alone may change it: kubernetes/CLUSTER of an instance, kubernetes/CLUSTER/NAMESPACE/NAME of a service or route. Left out, nobody in particular." readOnly:"true"`
	// Trace is the trace of that write (W3C traceparent), if it is followed. Servers
	// tell it each other through the registry; nobody else is shown it, for an answer
	// may be written back to a server that does not know the field.
	Trace string `json:"-"`
}

// Endpoints says where a service's instances come from. The zero value means
// that instances are registered, one by one, with a lease.
type Endpoints struct {
	DNS        *DNSEndpoints        `json:"dns,omitempty" doc:"Each sidecar resolves a host name."`
	Static     []StaticEndpoint     `json:"static,omitempty" doc:"A fixed list of addresses."`
	Kubernetes *KubernetesEndpoints `json:"kubernetes,omitempty" doc:"The pods behind a Kubernetes Service."`
	VMs        *VMEndpoints         `json:"vms,omitempty" doc:"The virtual machines that sources of discovery find, such as Azure's by their tags."`
}

// Registered says whether instances are registered: one by one with a lease, by a
// Kubernetes cluster, or by what finds virtual machines, beside which others may register.
func (e Endpoints) Registered() bool {
	return e.DNS == nil && len(e.Static) == 0 && (e.Kubernetes == nil || e.Kubernetes.Discovery != KubernetesDNS)
}

// Own says whether the endpoints are part of the declaration: what is behind them is
// mostly outside the mesh, an upstream.
func (e Endpoints) Own() bool { return e.DNS != nil || len(e.Static) > 0 }

// Resolved is the host name that each caller's sidecar resolves, or nil.
func (s *Service) Resolved() *DNSEndpoints {
	if k := s.Endpoints.Kubernetes; s.Endpoints.DNS == nil && k != nil && k.Discovery == KubernetesDNS {
		return k.resolved(s.Name)
	}
	return s.Endpoints.DNS
}

// DNSDiscovery is how the addresses behind a host name are used.
type DNSDiscovery string

// The kinds of DNS discovery, after Envoy's STRICT_DNS and LOGICAL_DNS clusters.
const (
	DNSStrict  DNSDiscovery = "strict"  // every address is an endpoint (default)
	DNSLogical DNSDiscovery = "logical" // the first address serves new connections
)

// IPFamily is which addresses of a host name are used.
type IPFamily string

// The address families.
const (
	IPv4   IPFamily = "v4" // default
	IPv6   IPFamily = "v6"
	IPBoth IPFamily = "all"
)

// DNSEndpoints is a host name that each caller's sidecar resolves, and goes on resolving.
type DNSEndpoints struct {
	Host      string       `json:"host" doc:"The host name; a headless Kubernetes service's name gives all its pods."`
	Port      Port         `json:"port,omitempty" minimum:"1" maximum:"65535" doc:"The port behind that name; default: the service's port."`
	Discovery DNSDiscovery `json:"discovery,omitempty" enum:"strict,logical" doc:"strict (default): every address is an endpoint. logical: one address at a time."`
	Family    IPFamily     `json:"family,omitempty" enum:"v4,v6,all" doc:"Which addresses are used; default v4."`
	Refresh   Duration     `json:"refresh,omitempty" doc:"How often the name is resolved; default: as long as the answer's TTL says. From 100ms to 1h."`
	Resolvers []string     `json:"resolvers,omitempty" doc:"DNS servers to ask, as ip:port; default: those of the sidecar's machine."`
}

// StaticEndpoint is one fixed address of a service.
type StaticEndpoint struct {
	Address string `json:"address" doc:"An IP address."`
	Port    Port   `json:"port" minimum:"1" maximum:"65535" doc:"The port behind that address."`
	Weight  int    `json:"weight,omitempty" minimum:"1" maximum:"1000" doc:"Its share of the traffic beside the others; default 1."`
}

// OwnPort is the port of a listener of the service's own on its callers'
// sidecars, or 0 when requests to it are routed by host name alone.
func (s *Service) OwnPort() Port {
	switch {
	case s.ListenerPort != 0:
		return s.ListenerPort
	case s.Protocol == TCP:
		return s.Port
	}
	return 0
}
