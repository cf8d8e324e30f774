package inject

import (
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/intercept"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Settings are the same for all pods of a cluster.
type Settings struct {
	Cluster   string   // its name in the mesh
	Namespace string   // the operator's own, where nothing is injected
	Image     string   // of the sidecar and of heddle-intercept
	Server    string   // URL of the server's REST API, as pods reach it
	XDS       []string // HOST:PORT of the control planes
	AttestURL string   // the operator's, as pods reach it
	AttestCA  string   // PEM of the roots that AttestURL is verified by

	CPU, Memory           string        // the sidecar's requests; default 50m, 96Mi
	CPULimit, MemoryLimit string        // its limits; default none, 512Mi
	Iptables              string        // the kind that heddle intercept uses; default whatever the image's is
	NoIPv6                bool          // it leaves IPv6 alone
	Drain                 time.Duration // how long callers have to leave before the application is told to end; default 5 s
}

// The ports of a pod that are the sidecar's. All but StatusPort, which is told it, it has
// by default.
const (
	OutboundPort            = mesh.DefaultOutboundPort
	InterceptPort           = mesh.DefaultInterceptPort
	InboundPort             = mesh.DefaultInterceptInboundPort
	DNSPort                 = mesh.DefaultDNSPort
	StatusPort    mesh.Port = 15020
)

// ProxyUID is the user that the sidecar runs as: what it sends is not intercepted.
const ProxyUID int64 = intercept.DefaultProxyUser

// The containers and volumes that are put into pods.
const (
	SidecarName    = "heddle-sidecar"
	InterceptName  = "heddle-intercept"
	identityVolume = "heddle-identity"
	tokenVolume    = "heddle-token"
	tmpVolume      = "heddle-tmp"
)

// Where they are mounted. The token's audience and life are what
// internal/kubernetes/attest demands.
const (
	identityDir   = "/var/run/heddle/identity"
	TokenDir      = "/var/run/secrets/heddle"
	TokenAudience = "heddle"
	tokenSeconds  = int64(3600)
)

// withDefaults fills in what was left out.
func (s Settings) withDefaults() Settings {
	for _, field := range []struct {
		value  *string
		preset string
	}{{&s.CPU, "50m"}, {&s.Memory, "96Mi"}, {&s.MemoryLimit, "512Mi"}} {
		if *field.value == "" {
			*field.value = field.preset
		}
	}
	if s.Drain == 0 {
		s.Drain = 5 * time.Second
	}
	return s
}

// SystemNamespaces are Kubernetes' own: nothing is injected there, whatever their
// labels say.
func SystemNamespaces() []string { return []string{"kube-system", "kube-public", "kube-node-lease"} }

// instance names a pod in the mesh, as mesh.PodInstance; its name is known to the kubelet
// alone when a controller makes it, so that heddle proxy makes it fit.
func (s Settings) instance(pod, namespace string) string {
	return strings.Join([]string{pod, namespace, s.Cluster}, ".")
}
