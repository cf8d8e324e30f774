package xds

// The type URLs that this server serves.
const (
	TypeRuntime   = "type.googleapis.com/envoy.service.runtime.v3.Runtime"
	TypeCluster   = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	TypeEndpoint  = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	TypeSecret    = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
	TypeExtension = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
	TypeListener  = "type.googleapis.com/envoy.config.listener.v3.Listener"
	TypeRoute     = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
)

// kind is a resource type. Its value is its place in the order in which one
// stream is sent what is due: what is needed before what needs it (xDS
// protocol, "Eventual consistency considerations").
type kind uint8

const (
	kindRuntime kind = iota
	kindCluster
	kindEndpoint
	kindSecret
	kindExtension
	kindListener
	kindRoute
	kindCount
)

// kindFacts is what the protocol says of a resource type.
type kindFacts struct {
	url   string
	short string // the label in metrics and logs

	// full: a SotW response holds everything that is subscribed to, and what is
	// missing from it is deleted by the client. The same types may be
	// subscribed to with an empty first request (xDS protocol, "Grouping
	// Resources into Responses" and "How the client specifies what resources
	// to return").
	full bool

	// needsClusters: a resource of this type sends traffic to clusters, so it
	// waits for the clusters that the stream is still taking in.
	needsClusters bool

	// usedBy are the types whose resources refer to one of this type. A removal
	// waits until the client has taken in what is due of them.
	usedBy []kind

	// expires: one of this type may have a TTL, because a proxy serves without it.
	expires bool

	// tried: what of this type was refused by a proxy is kept from the others.
	tried bool
}

var kinds = [kindCount]kindFacts{
	kindRuntime:   {url: TypeRuntime, short: "rtds", expires: true},
	kindCluster:   {url: TypeCluster, short: "cds", tried: true, full: true, usedBy: []kind{kindListener, kindRoute}},
	kindEndpoint:  {url: TypeEndpoint, short: "eds", usedBy: []kind{kindCluster}},
	kindSecret:    {url: TypeSecret, short: "sds", usedBy: []kind{kindCluster, kindListener}},
	kindExtension: {url: TypeExtension, short: "ecds", needsClusters: true, usedBy: []kind{kindListener}},
	kindListener:  {url: TypeListener, short: "lds", tried: true, full: true, needsClusters: true},
	kindRoute:     {url: TypeRoute, short: "rds", tried: true, needsClusters: true, usedBy: []kind{kindListener}},
}

func (k kind) facts() *kindFacts { return &kinds[k] }

func (k kind) String() string { return kinds[k].short }

// TypeLabel is the short form of a type URL, such as "cds", in metrics and logs.
func TypeLabel(typeURL string) string {
	if k, ok := kindOf(typeURL); ok {
		return k.String()
	}
	return typeURL
}

// kindOf finds the kind of a type URL.
func kindOf(typeURL string) (kind, bool) {
	for k := range kinds {
		if kinds[k].url == typeURL {
			return kind(k), true
		}
	}
	return 0, false
}
