package mesh

// Route exposes services to the outside on gateways. It sends requests on to
// Backends, or answers them with a Redirect.
type Route struct {
	Name     RouteName         `json:"name" doc:"A DNS label." example:"shop"`
	Owner    string            `json:"owner" doc:"The team or person who answers for it."`
	Hosts    []string          `json:"hosts" doc:"Host names, \"*.\" at the start for all below one; \"*\" alone for every host." example:"shop.example.com"`
	Gateways []ServiceName     `json:"gateways,omitempty" doc:"The gateways that serve it (heddle proxy --gateway NAME); left out, all." example:"edge"`
	Schemes  []Scheme          `json:"schemes,omitempty" doc:"Serve it over these alone: http, https. Left out: https on gateways that have certificates, where plain HTTP is sent there, and else http."`
	Match    RequestMatch      `json:"match,omitzero" doc:"Left out, the route matches every request to its hosts."`
	Backends []WeightedBackend `json:"backends,omitempty" doc:"Services behind the route, by weight. Required unless there is redirect or refuse."`
	Redirect *Redirect         `json:"redirect,omitempty" doc:"Sends the client elsewhere, instead of backends."`
	Refuse   int               `json:"refuse,omitempty" minimum:"400" maximum:"599" doc:"Answers with this status, instead of backends."`
	Rewrite  string            `json:"rewrite,omitempty" doc:"Replaces the matched path prefix, or the whole of an exact path."`
	// RewriteHost and WholePath are what else becomes of the address.
	RewriteHost string   `json:"rewriteHost,omitempty" doc:"The host that the service is asked for, with a port or without; left out, the service's own (traffic.hostHeader), or else the client's." example:"shop.internal"`
	WholePath   bool     `json:"wholePath,omitempty" doc:"Has rewrite, or redirect.path, replace the whole path, however it matched."`
	Timeout     Duration `json:"timeout,omitempty" doc:"Instead of the service's own. Zero is refused: see traffic.noTimeout of the service. From 1ms to 24h." zero:"noTimeout"`
	// What the service is told, and what the client is told of its answer.
	RequestHeaders  *HeaderChange `json:"requestHeaders,omitempty" doc:"What is changed in the headers of requests."`
	ResponseHeaders *HeaderChange `json:"responseHeaders,omitempty" doc:"What is changed in the headers of answers."`

	Auth      *RouteAuth   `json:"auth,omitempty" doc:"Lets in only who proves who they are; left out, everybody."`
	Mirror    *RouteMirror `json:"mirror,omitempty" doc:"A copy of the requests, whose answers are thrown away."`
	RateLimit *RateLimit   `json:"rateLimit,omitempty" doc:"A bound on its requests, above which they get 429. Each gateway process counts its own, and begins anew when its routes change."`
	PlainHTTP bool         `json:"plainHTTP,omitempty" doc:"Serve it over plain HTTP too on gateways that have certificates, which send clients on to HTTPS otherwise."`
	Order     int64        `json:"order,omitempty" minimum:"0" doc:"Of routes that match as exactly, the one with the lower order is tried first, and of two with the same the one that was created first."`
	Meta      Meta         `json:"meta,omitzero" doc:"Set by the registry."`

	// Created is the registry's revision of its creation, which tells the older of
	// two; the registry's watch gives it, and nothing else.
	Created int64 `json:"-"`
}

// WeightedBackend is a share of a route's requests for one service.
type WeightedBackend struct {
	Service ServiceName `json:"service" doc:"A service. One that nobody has declared yet is accepted, and shown with a ?."`
	Subset  string      `json:"subset,omitempty" doc:"One of its subsets; left out, all its instances."`
	Weight  int         `json:"weight" minimum:"0" maximum:"1000000" doc:"Its share beside the others."`
}

// Redirect answers with the address of another place. What is left out stays as
// it was asked for; one of scheme, host, port and path has to be given.
type Redirect struct {
	Scheme Scheme `json:"scheme,omitempty" enum:"http,https" doc:"Another scheme."`
	Host   string `json:"host,omitempty" doc:"Another host name." example:"www.example.com"`
	Port   Port   `json:"port,omitempty" minimum:"1" maximum:"65535" doc:"Another port; left out, with another host, the scheme's own."`
	Path   string `json:"path,omitempty" doc:"Replaces the matched path prefix, or the whole of an exact path." example:"/new"`
	Status int    `json:"status,omitempty" enum:"301,302,303,307,308" doc:"Default 302. Clients remember 301 and 308 for good."`
}

// Scheme is how a client speaks to a gateway.
type Scheme string

// The schemes.
const (
	PlainHTTP Scheme = "http"
	HTTPS     Scheme = "https"
)

// HeaderChange is what becomes of headers. Names are the same in whichever case.
type HeaderChange struct {
	Set    map[string]string `json:"set,omitempty" doc:"Headers that have these values, instead of what they had."`
	Add    map[string]string `json:"add,omitempty" doc:"Values that are added to what there is."`
	Remove []string          `json:"remove,omitempty" doc:"Headers that are taken out."`
}

// RouteAuth lets in only requests with a token from outside the mesh. The user whom
// it names is in the token that the service behind the route gets.
type RouteAuth struct {
	Provider string `json:"provider" doc:"Who proves it: a name in the file of --edge-config of the AuthZ service, where it stands for Cloudflare Access or an OIDC issuer." example:"staff"`
	Audience string `json:"audience,omitempty" doc:"The application that tokens have to be for; with Cloudflare Access, its audience tag (AUD). Left out, one of those in that file." example:"4714c1358e65fe4b408ad6d432a5f878f08194bdb4752441fd56faefa9b2b6f2"`
}

// RouteMirror copies a share of a route's requests to a service.
type RouteMirror struct {
	Service ServiceName `json:"service" doc:"A service. Until it is declared nothing is copied."`
	Subset  string      `json:"subset,omitempty" doc:"One of its subsets; left out, all its instances."`
	Percent float64     `json:"percent,omitempty" minimum:"0" maximum:"100" doc:"Default 100."`
}

// RateLimit is a bucket that is filled evenly, and from which each request takes one.
type RateLimit struct {
	Requests int      `json:"requests" minimum:"1" maximum:"1000000" doc:"How many requests there may be in each period." example:"100"`
	Per      Duration `json:"per,omitempty" doc:"The period; default 1s. From 1s to 24h."`
	Burst    int      `json:"burst,omitempty" minimum:"0" maximum:"1000000" doc:"How many may come at once; default: as many as requests, and not fewer."`
}

// ServedBy says whether a gateway serves the route.
func (r *Route) ServedBy(gateway ServiceName) bool {
	for _, one := range r.Gateways {
		if one == gateway {
			return true
		}
	}
	return len(r.Gateways) == 0
}

// Services are those that the route names, each once, in the order of their first mention.
func (r *Route) Services() []ServiceName {
	var out []ServiceName
	seen := map[ServiceName]bool{}
	add := func(name ServiceName) {
		if !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	for _, backend := range r.Backends {
		add(backend.Service)
	}
	if r.Mirror != nil {
		add(r.Mirror.Service)
	}
	return out
}
