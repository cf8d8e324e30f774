package mesh

// Health is what is known of an instance.
type Health string

// The states of an instance. Only healthy ones get new requests.
const (
	Healthy   Health = "healthy"   // default
	Draining  Health = "draining"  // finishes what it has, gets nothing new
	Unhealthy Health = "unhealthy" // gets nothing
	// Removed is written just before a deregistered instance's key is deleted,
	// so that watchers can tell an owner's removal from an expired lease.
	Removed Health = "removed"
)

// Instance is one running copy of a service.
type Instance struct {
	ID       InstanceID        `json:"id" doc:"Unique among the instances of its service." example:"orders-1"`
	Service  ServiceName       `json:"service" doc:"The service that it is a copy of."`
	Address  string            `json:"address" doc:"The IP address where callers reach it (its sidecar's inbound listener)." example:"10.0.0.7"`
	Port     Port              `json:"port" minimum:"1" maximum:"65535" doc:"The port behind that address."`
	Locality Locality          `json:"locality,omitzero" doc:"Where it runs."`
	Weight   int               `json:"weight,omitempty" minimum:"1" maximum:"1000" doc:"Its share of the traffic beside the others; default 1."`
	Labels   map[string]string `json:"labels,omitempty" doc:"For subsets." `
	Health   Health            `json:"health,omitempty" enum:"healthy,draining,unhealthy" doc:"Default healthy. Only the change stream also has removed: it was deregistered, and its deletion follows."`
	MTLS     bool              `json:"mtls,omitempty" doc:"Its sidecar has an identity and takes mutual TLS."`
	Epoch    string            `json:"epoch,omitempty" doc:"Names this registration; renew, drain and deregister send it back, so that a late one cannot touch a newer registration." readOnly:"true"`
	Stale    bool              `json:"stale,omitempty" doc:"Its lease ended together with most others of its service; kept until it is confirmed gone." readOnly:"true"`
	Meta     Meta              `json:"meta,omitzero" doc:"Set by the registry."`
}

// Locality is where an instance runs.
type Locality struct {
	Region string `json:"region,omitempty" doc:"For instance a cloud region." example:"westeurope"`
	Zone   string `json:"zone,omitempty" doc:"For instance an availability zone." example:"1"`
}

// InstanceKey names an instance in the mesh.
type InstanceKey struct {
	Service ServiceName
	ID      InstanceID
}

// Key gives the instance's name in the mesh.
func (i *Instance) Key() InstanceKey { return InstanceKey{Service: i.Service, ID: i.ID} }

// RegisteredAt gives where an instance keeps itself registered, or "" if it does not: it is
// kept by something else, or there is none.
func (i *Instance) RegisteredAt() string {
	if i == nil || i.Meta.Keeper != "" {
		return ""
	}
	return i.Address
}

// String writes "service/id".
func (k InstanceKey) String() string { return string(k.Service) + "/" + string(k.ID) }

// Runtime is the runtime layer "heddle" that every proxy gets: Envoy's runtime
// keys with numbers, strings or booleans. With a TTL, a proxy that has lost every
// control plane for that long goes on without it.
type Runtime struct {
	Values map[string]any `json:"values" doc:"Envoy runtime keys and their values: numbers, strings or booleans."`
	TTL    Duration       `json:"ttl,omitempty" doc:"How long a proxy keeps the values after it lost its control planes: 5s to 24h; default: for as long as it runs."`
	Meta   Meta           `json:"meta,omitzero" doc:"Set by the registry."`
}
