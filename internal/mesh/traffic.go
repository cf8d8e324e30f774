package mesh

// Traffic is how callers' sidecars treat calls to a service. Zero values mean
// the documented defaults.
type Traffic struct {
	Timeout          Duration          `json:"timeout,omitempty" doc:"For a whole request with its retries; default 15s, and none for grpc, whose callers send a deadline of their own. Zero is refused: see noTimeout. From 1ms to 24h." zero:"noTimeout"`
	NoTimeout        bool              `json:"noTimeout,omitempty" doc:"No bound on a whole request: for streams and long polls."`
	IdleTimeout      Duration          `json:"idleTimeout,omitempty" doc:"A stream, or a TCP connection, without a byte is ended after this; default 5m (TCP 1h). From 1ms to 168h."`
	ConnectTimeout   Duration          `json:"connectTimeout,omitempty" doc:"For a TCP connection to an instance; default 1s. From 1ms to 1m."`
	HostHeader       string            `json:"hostHeader,omitempty" doc:"The Host header sent to the service instead of the caller's."`
	Retries          *Retries          `json:"retries,omitempty" doc:"Default: 2 attempts more, when the request did not reach the service."`
	LoadBalancing    LoadBalancing     `json:"loadBalancing,omitzero" doc:"How an instance is chosen."`
	CircuitBreaker   *CircuitBreaker   `json:"circuitBreaker,omitempty" doc:"Limits per sidecar; what goes over them gets a 503 at once."`
	OutlierDetection *OutlierDetection `json:"outlierDetection,omitempty" doc:"Puts instances that keep failing out of rotation for a while."`
	TLS              *UpstreamTLS      `json:"tls,omitempty" doc:"TLS to a service outside the mesh."`
}

// Retries says when a failed attempt is made again, on another instance if there is one.
type Retries struct {
	Attempts      int      `json:"attempts" minimum:"0" maximum:"10" doc:"Attempts after the first; 0 means none."`
	On            []string `json:"on,omitempty" doc:"Envoy's retry_on conditions: 5xx, gateway-error, reset, reset-before-request, connect-failure, envoy-ratelimited, retriable-4xx, refused-stream, http3-post-connect-failure; for gRPC cancelled, deadline-exceeded, internal, resource-exhausted, unavailable. Default: only what never reached the service."`
	PerTryTimeout Duration `json:"perTryTimeout,omitempty" doc:"For one attempt. From 1ms to 1h."`
}

// Policy is a load-balancing policy.
type Policy string

// The load-balancing policies.
const (
	RoundRobin   Policy = "roundRobin" // default
	LeastRequest Policy = "leastRequest"
	Random       Policy = "random"
	RingHash     Policy = "ringHash"
	Maglev       Policy = "maglev"
)

// LoadBalancing chooses among a service's instances.
type LoadBalancing struct {
	Policy          Policy           `json:"policy,omitempty" enum:"roundRobin,leastRequest,random,ringHash,maglev" doc:"Default roundRobin."`
	HashHeader      string           `json:"hashHeader,omitempty" doc:"For ringHash and maglev: the header whose value picks the instance; default: the caller's address."`
	LocalityWeights []LocalityWeight `json:"localityWeights,omitempty" doc:"Shares of the traffic by region and zone; a locality not named has weight 1."`
}

// LocalityWeight is the share of one locality.
type LocalityWeight struct {
	Region string `json:"region,omitempty" doc:"Left out, any region."`
	Zone   string `json:"zone,omitempty" doc:"Left out, any zone."`
	Weight int    `json:"weight" minimum:"0" maximum:"1000000" doc:"Its share beside the other localities."`
}

// CircuitBreaker bounds what one sidecar has open to a service; 0 means the default.
type CircuitBreaker struct {
	MaxConnections     int `json:"maxConnections,omitempty" minimum:"0" maximum:"1000000" doc:"Open connections; 0 or left out: 1024."`
	MaxPendingRequests int `json:"maxPendingRequests,omitempty" minimum:"0" maximum:"1000000" doc:"Requests that wait for a connection; 0 or left out: 1024."`
	MaxRequests        int `json:"maxRequests,omitempty" minimum:"0" maximum:"1000000" doc:"Requests under way; 0 or left out: 1024."`
	MaxRetries         int `json:"maxRetries,omitempty" minimum:"0" maximum:"1000000" doc:"Retries under way. 0 or left out: as many as there are requests under way, a fifth of them where retries have conditions (on) of their own, and never fewer than 10."`
}

// OutlierDetection ejects instances by what their answers were.
type OutlierDetection struct {
	ConsecutiveErrors  int      `json:"consecutiveErrors,omitempty" minimum:"0" maximum:"1000000" doc:"5xx answers or failed connections in a row; 0 or left out: 5."`
	Interval           Duration `json:"interval,omitempty" doc:"Between sweeps; default 10s. From 10ms to 1h."`
	BaseEjectionTime   Duration `json:"baseEjectionTime,omitempty" doc:"For a first ejection; grows with each; default 30s. From 10ms to 1h."`
	MaxEjectionPercent int      `json:"maxEjectionPercent,omitempty" minimum:"0" maximum:"100" doc:"Never more of the instances than this; 0 or left out: 50."`
}

// UpstreamTLS is TLS from the callers' sidecars to a service outside the mesh.
// The server's certificate is always verified.
type UpstreamTLS struct {
	SNI             string   `json:"sni,omitempty" doc:"Server name sent and verified; default: the DNS host."`
	CA              string   `json:"ca,omitempty" doc:"PEM certificates trusted for it; default: those of the sidecar's machine."`
	SubjectAltNames []string `json:"subjectAltNames,omitempty" doc:"Names accepted in its certificate; default: sni."`
	MinVersion      string   `json:"minVersion,omitempty" enum:"1.2,1.3" doc:"Default 1.2."`
}

// HealthCheckType is how a check asks.
type HealthCheckType string

// The kinds of health check.
const (
	CheckHTTP HealthCheckType = "http"
	CheckGRPC HealthCheckType = "grpc"
	CheckTCP  HealthCheckType = "tcp"
)

// HealthCheck is an active check that each caller's sidecar makes on each instance.
type HealthCheck struct {
	Type               HealthCheckType `json:"type" enum:"http,grpc,tcp" doc:"How the check asks."`
	Path               string          `json:"path,omitempty" doc:"For http; default /."`
	ExpectedStatus     int             `json:"expectedStatus,omitempty" minimum:"100" maximum:"599" doc:"For http; default 200."`
	Interval           Duration        `json:"interval,omitempty" doc:"Default 5s. From 10ms to 1h."`
	Timeout            Duration        `json:"timeout,omitempty" doc:"Default 1s. From 10ms to 1h."`
	HealthyThreshold   int             `json:"healthyThreshold,omitempty" minimum:"0" maximum:"1000000" doc:"0 or left out: 2."`
	UnhealthyThreshold int             `json:"unhealthyThreshold,omitempty" minimum:"0" maximum:"1000000" doc:"0 or left out: 3."`
}
