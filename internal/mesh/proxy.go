package mesh

// Proxy is what a sidecar tells the control plane about itself, as the field
// "heddle" of its xDS node metadata. What is left out has the documented default.
type Proxy struct {
	Service         ServiceName          `json:"service" doc:"The service it stands beside."`
	Instance        InstanceID           `json:"instance" doc:"Which instance of it."`
	Profile         ProxyProfile         `json:"profile,omitempty" doc:"What it is. proxyless: the service itself, with a gRPC library that speaks xDS. Left out: the same if it says that it is gRPC (user_agent_name), else an Envoy beside the service."`
	InboundAddress  string               `json:"inboundAddress,omitempty" doc:"Where it takes calls to its service; default 0.0.0.0."`
	InboundPort     Port                 `json:"inboundPort,omitempty" doc:"Default: the service's port."`
	AppAddress      string               `json:"appAddress,omitempty" doc:"Where the application listens; default 127.0.0.1."`
	AppPort         Port                 `json:"appPort,omitempty" doc:"Where the application listens; 0: it only calls and takes no calls."`
	OutboundAddress string               `json:"outboundAddress,omitempty" doc:"Where the application makes its calls; default 127.0.0.1."`
	OutboundPort    Port                 `json:"outboundPort,omitempty" doc:"Where the application makes its HTTP calls; default 15001."`
	DependencyPorts map[ServiceName]Port `json:"dependencyPorts,omitempty" doc:"Ports for dependencies that have a listener of their own, instead of the one that they declare."`
}

// ProxyProfile says what kind of client a [Proxy] is.
type ProxyProfile string

// Proxyless is a gRPC library inside the application, which calls its
// dependencies as xds:///NAME.
const Proxyless ProxyProfile = "proxyless"

// The defaults of a [Proxy].
const (
	DefaultInboundAddress      = "0.0.0.0"
	DefaultLoopback            = "127.0.0.1"
	DefaultOutboundPort   Port = 15001
)
