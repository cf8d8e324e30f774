package mesh

// HealthWord is how a service fares, or the mesh.
type HealthWord string

// How a service fares, the worst first.
const (
	HealthDown     HealthWord = "down"     // it has instances, and none is healthy
	HealthEmpty    HealthWord = "empty"    // it has none
	HealthDegraded HealthWord = "degraded" // some are not healthy, or stale
	HealthGood     HealthWord = "healthy"  // all are
	HealthOutside  HealthWord = "outside"  // callers know its addresses themselves: nobody registers them
)

// MeshHealth is how all services fare.
type MeshHealth struct {
	Status   HealthWord      `json:"status" enum:"healthy,degraded,down" doc:"down: services are called and none of those has a healthy instance; degraded: a service is down or degraded, or one that others call has no instances; else healthy."`
	Revision int64           `json:"revision" doc:"The registry's revision that this is of."`
	Counts   HealthCounts    `json:"counts" doc:"How many services fare how."`
	Services []ServiceHealth `json:"services" nullable:"false" doc:"The worst first, then by name."`
}

// HealthCounts counts services.
type HealthCounts struct {
	Healthy  int `json:"healthy"`
	Degraded int `json:"degraded"`
	Empty    int `json:"empty"`
	Down     int `json:"down"`
	Outside  int `json:"outside"`
}

// ServiceHealth is how a service fares by its instances.
type ServiceHealth struct {
	Name      ServiceName `json:"name" doc:"The service."`
	Owner     string      `json:"owner" doc:"Whose it is."`
	Status    HealthWord  `json:"status" enum:"healthy,degraded,empty,down,outside" doc:"down: none of its instances is healthy; empty: it has none; degraded: some are not healthy, or are stale; outside: its addresses are part of its declaration, and sidecars know their health."`
	Expected  bool        `json:"expected" doc:"Whether somebody would miss it: services declare that they call it, or routes lead to it. What nobody expects is not counted in the mesh's status while it is empty."`
	Instances int         `json:"instances" doc:"How many there are, the following together."`
	Healthy   int         `json:"healthy" doc:"That take requests."`
	Draining  int         `json:"draining" doc:"That are about to stop."`
	Unhealthy int         `json:"unhealthy" doc:"That say, or of which is said, that they do not work."`
	Stale     int         `json:"stale" doc:"Whose leases ended, all at once with most others', and that are kept until they are confirmed gone."`
}

// MeshState is what a server knows, in numbers.
type MeshState struct {
	Server          string       `json:"server" doc:"Which server answers: the same as in what it answers of progress."`
	Version         string       `json:"version" doc:"Which Heddle it is."`
	Revision        int64        `json:"revision" doc:"The registry's revision up to which it knows the mesh."`
	SnapshotVersion int64        `json:"snapshot_version" doc:"Of the virtual machines, as GET /api/vms has it."`
	Proxies         ProxyCounts  `json:"proxies" doc:"The proxies that are connected to this server."`
	Counts          ObjectCounts `json:"counts" doc:"What there is in the mesh."`
}

// ProxyCounts counts the proxies of a server.
type ProxyCounts struct {
	Connected  int    `json:"connected" doc:"How many there are."`
	Behind     int    `json:"behind" doc:"How many lack something that they were to be sent."`
	Refusing   int    `json:"refusing" doc:"How many of those have refused what they lack."`
	Rejections uint64 `json:"rejections" doc:"How many answers they have refused (NACKs) since they are connected."`
}

// ObjectCounts counts what there is.
type ObjectCounts struct {
	Services      int            `json:"services"`
	Instances     int            `json:"instances"`
	InstancesBy   map[string]int `json:"instances_by" doc:"By who keeps them: registered, kubernetes/CLUSTER or vms/SOURCE."`
	Routes        int            `json:"routes"`
	VMs           int            `json:"vms"`
	AuthzServices int            `json:"authz_services"`
}

// Behind says whether the proxy lacks anything, and whether it refused what it lacks.
func (p *ProxyStream) Behind() (behind, refused bool) {
	for i := range p.Types {
		if t := &p.Types[i]; !t.BehindSince.IsZero() {
			behind, refused = true, refused || t.Rejected != nil
		}
	}
	return behind, refused
}
