package mesh

import (
	"strconv"
	"strings"
)

// Proxy is what a sidecar tells the control plane about itself, as the field
// "heddle" of its xDS node metadata. What is left out has the documented default.
type Proxy struct {
	Service         ServiceName          `json:"service" doc:"The service it stands beside; of a gateway, its own name."`
	Instance        InstanceID           `json:"instance" doc:"Which instance of it."`
	Profile         ProxyProfile         `json:"profile,omitempty" doc:"What it is. proxyless: the service itself, with a gRPC library that speaks xDS. gateway: an Envoy at the edge, which serves routes. host: the Envoy of a host of a fleet (heddle agent), which calls whatever the fleet runs. Left out: proxyless if it says that it is gRPC (user_agent_name), else an Envoy beside the service."`
	InboundAddress  string               `json:"inboundAddress,omitempty" doc:"Where it takes calls to its service; default 0.0.0.0."`
	InboundPort     Port                 `json:"inboundPort,omitempty" doc:"Default: the service's port."`
	AppAddress      string               `json:"appAddress,omitempty" doc:"Where the application listens; default 127.0.0.1."`
	AppPort         Port                 `json:"appPort,omitempty" doc:"Where the application listens; 0: it only calls and takes no calls."`
	OutboundAddress string               `json:"outboundAddress,omitempty" doc:"Where the application makes its calls; default 127.0.0.1."`
	OutboundPort    Port                 `json:"outboundPort,omitempty" doc:"Where the application makes its HTTP calls; default 15001."`
	DependencyPorts map[ServiceName]Port `json:"dependencyPorts,omitempty" doc:"Ports for dependencies that have a listener of their own, instead of the one that they declare."`
	Identity        bool                 `json:"identity,omitempty" doc:"It has a certificate that proves who it is; the folder that its Envoy runs in has a link to it, named identity."`
	TokenDelivery   TokenDelivery        `json:"tokenDelivery,omitempty" doc:"How it gets the tokens for its calls. ask (default): each request asks the AuthZ service. push: whoever keeps its identity hands them over, and requests ask nobody."`
	Intercept       *Intercept           `json:"intercept,omitempty" doc:"The application's connections are redirected to it (heddle intercept), so that the application needs no addresses of the sidecar."`
	Gateway         *GatewayProxy        `json:"gateway,omitempty" doc:"Where a gateway listens; for the profile gateway."`
}

// GatewayProxy is what a gateway tells about itself beside its name. A port of 0
// is none: it does not listen so.
type GatewayProxy struct {
	ListenAddress string `json:"listenAddress,omitempty" doc:"Where it listens; default 0.0.0.0."`
	HTTPPort      Port   `json:"httpPort,omitempty" doc:"Where it takes plain HTTP."`
	HTTPSPort     Port   `json:"httpsPort,omitempty" doc:"Where it takes HTTPS; needs a certificate."`
	PublicPort    Port   `json:"publicPort,omitempty" doc:"The port that clients use for HTTPS, if something before the gateway maps it; default: httpsPort."`
	HTTP3         bool   `json:"http3,omitempty" doc:"Take HTTP/3 too, on the UDP port of the same number as httpsPort."`
	Certificates  int    `json:"certificates,omitempty" doc:"How many certificates it has. They and their keys stay on its machine."`
	TrustedHops   int    `json:"trustedHops,omitempty" doc:"How many proxies before it add to X-Forwarded-For and are believed."`
}

// ProxyProfile says what kind of client a [Proxy] is.
type ProxyProfile string

// Proxyless is a gRPC library inside the application, which calls its
// dependencies as xds:///NAME.
const Proxyless ProxyProfile = "proxyless"

// GatewayProfile is an Envoy at the edge, which serves routes.
const GatewayProfile ProxyProfile = "gateway"

// HostProfile is the Envoy of a host of a fleet, which calls whatever the fleet runs.
const HostProfile ProxyProfile = "host"

// TokenDelivery says how an Envoy gets the tokens for its calls.
type TokenDelivery string

// The ways.
const (
	AskTokens  TokenDelivery = "ask"
	PushTokens TokenDelivery = "push"
)

// The defaults of a [Proxy].
const (
	DefaultInboundAddress      = "0.0.0.0"
	DefaultLoopback            = "127.0.0.1"
	DefaultOutboundPort   Port = 15001
)

// CertificateFolder is where a gateway's Envoy finds its certificates, below the
// folder that it runs in.
const CertificateFolder = "certificates"

// IdentityFolder is where an Envoy with an identity finds it, below the folder
// that it runs in: its certificate and key in IdentityFile, and in RootsFile the
// roots that its machine trusts. What these name is replaced at renewals, by
// renaming something in IdentityFolder, which is to be watched.
const (
	IdentityFolder = "identity"
	IdentityFile   = "envoy-identity.json"
	RootsFile      = "envoy-bundle.json"
)

// The names of the secrets in IdentityFile and RootsFile.
const (
	IdentitySecret = "identity"
	RootsSecret    = "bundle"
)

// CertificateName names one of a gateway's certificates, counted from 0. It is in
// the file of that number and the ending .json.
func CertificateName(i int) string { return "certificate." + strconv.Itoa(i) }

// TokenSocket is where Envoy is handed tokens, in IdentityFolder, and TokenCluster
// what its bootstrap calls that.
const (
	TokenSocket  = "tokens.sock"
	TokenCluster = "heddle.tokens"
)

const tokenSecret = "token."

// TokenSecret names the token for the calls of a service.
func TokenSecret(callee ServiceName) string { return tokenSecret + string(callee) }

// TokenOf is the service that a name by TokenSecret is about.
func TokenOf(secret string) (ServiceName, bool) {
	name, is := strings.CutPrefix(secret, tokenSecret)
	return ServiceName(name), is && labelFault(name) == ""
}
