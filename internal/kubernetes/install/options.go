package install

import (
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/heddle-mesh/heddle/internal/kubernetes/inject"
)

// Options are what differs between installations.
type Options struct {
	Namespace string // default [DefaultNamespace]
	Image     string // default [DefaultImage]
	Cluster   string // the cluster's name in the mesh, or [ClusterPlaceholder]

	// EtcdEndpoints is an etcd outside, between commas. Then there may be several
	// servers; without, there is one, with an etcd of its own on a volume.
	EtcdEndpoints string
	Servers       int32 // replicas; default 1, or 3 with EtcdEndpoints
	Operators     int32 // replicas; default 2
	APIPort       int32 // the API server's own, behind its Service's 443, which some networks judge by; default 6443

	FailurePolicy FailurePolicy // of the webhook; default Fail
	Iptables      string        // the kind in pods: default, nft or legacy; default default
	InterceptIPv6 string        // true or false; default true
	NoInjector    bool          // no webhook, and no rights for it: nothing is injected
	Authz         bool          // AuthZ services; needs EtcdEndpoints
	Redis         string        // HOST:PORT of a Redis outside for them; default one of their own
	Gateway       bool          // an Envoy at the edge
}

// FailurePolicy says what becomes of pods that opted in while the webhook is down:
// Fail or Ignore.
type FailurePolicy = admissionregistrationv1.FailurePolicyType

// DefaultNamespace is Heddle's own in a cluster.
const DefaultNamespace = "heddle-system"

// DefaultImage is a name to be replaced: nobody publishes images for others.
const DefaultImage = "registry.example.com/heddle:latest"

// ClusterPlaceholder stands for the cluster's name where none is known. The operator
// refuses it: two clusters of one name would claim each other's objects.
const ClusterPlaceholder = "CHANGE-ME"

func (o Options) withDefaults() Options {
	for _, field := range []struct {
		value  *string
		preset string
	}{{&o.Namespace, DefaultNamespace}, {&o.Image, DefaultImage}, {&o.Iptables, "default"}, {&o.InterceptIPv6, "true"}} {
		if *field.value == "" {
			*field.value = field.preset
		}
	}
	if o.Servers == 0 {
		o.Servers = 1
		if o.EtcdEndpoints != "" {
			o.Servers = 3
		}
	}
	if o.Operators == 0 {
		o.Operators = 2
	}
	if o.APIPort == 0 {
		o.APIPort = 6443
	}
	if o.FailurePolicy == "" {
		o.FailurePolicy = admissionregistrationv1.Fail
	}
	return o
}

// host is the name of one of our Services, as pods call it.
func (o Options) host(service string) string { return fmt.Sprintf("%s.%s.svc", service, o.Namespace) }

// eachServer is the Service whose name has the addresses of all servers.
const eachServer = Server + "-each"

// The components, which are also the names of their objects.
const (
	Server   = "heddle-server"
	Operator = "heddle-operator"
	Authz    = "heddle-authz"
	Redis    = "heddle-redis"
	Gateway  = "heddle-gateway"
)

// The ports of Services and containers.
const (
	restPort    = 7443
	xdsPort     = 18443
	webhookPort = 9443
	metricsPort = 7090
	authzPort   = 18001
	keysPort    = 18002
	redisPort   = 6379
	httpPort    = 8080
	statusPort  = int32(inject.StatusPort)
	servicePort = 443 // of the API server's Service
)

// gatewayName is what routes call the gateway.
const gatewayName = "edge"

// The Secrets that are made by hand, as the documentation says.
const (
	adminToken    = "heddle-admin-token"    // file token: hdl_$(openssl rand -hex 6)_$(openssl rand -hex 32); the servers' alone
	operatorToken = "heddle-operator-token" // files token (heddle token create --keeper kubernetes/CLUSTER) and ca.crt (the mesh's root)
	etcdSecret    = "heddle-etcd"           // ca.crt, tls.crt, tls.key of an etcd outside
	authoritySec  = "heddle-authority"      // ca.crt, ca.key, with several servers
	keysSecret    = "heddle-authz-keys"     // file secret: openssl rand -hex 32
)
