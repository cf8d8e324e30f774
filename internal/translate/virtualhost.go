package translate

import (
	"fmt"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// virtualHost is what happens to requests for a declared dependency.
func (b *builder) virtualHost(d dependency) *routev3.VirtualHost {
	host := &routev3.VirtualHost{
		Name:    string(d.name),
		Domains: []string{string(d.name), string(d.name) + ".mesh"},
	}
	var called *mesh.Service
	switch {
	case d.service == nil && b.view.Unreadable(d.name):
		host.Routes = []*routev3.Route{refusal(503, reasonUnreadable, fmt.Sprintf(
			`heddle: the dependency of %q on %q is declared, but the stored declaration of service %q cannot be read: its owner has to apply it again`, b.own.Name, d.name, d.name))}
	case d.service == nil:
		host.Routes = []*routev3.Route{refusal(503, reasonPending, fmt.Sprintf(
			`heddle: the dependency of %q on %q is declared, but no service %q is declared yet`, b.own.Name, d.name, d.name))}
	case d.service.Protocol == mesh.TCP:
		host.Routes = []*routev3.Route{refusal(421, reasonTCP, fmt.Sprintf(
			`heddle: service %q speaks tcp: connect to its own port on this sidecar (%d unless the proxy has another) instead of asking for it by host name`, d.name, d.service.OwnPort()))}
	default:
		host.Routes = b.routesTo(d.service)
		called = d.service
	}
	return b.authorized(host, called)
}

// askedHost is Envoy's substitution for the name that a request asked for, as
// it would be declared: without its port, ".mesh" and a dot at its end.
const askedHost = `%CEL(re.extract(request.host, '^(.+?)([.]mesh)?[.]?(:[0-9]*)?$', '\\1'))%`

// undeclared answers requests for every other host.
func (b *builder) undeclared(caller mesh.ServiceName) *routev3.VirtualHost {
	missing := fmt.Sprintf(`heddle: the request has no host: name a dependency of %q in its Host header (:authority in HTTP/2)`, caller)
	unknown := refusal(403, reasonUndeclared, fmt.Sprintf(
		`heddle: service %q has not declared a dependency on "%s"; declare it: add "%s" to the dependencies of %q`, caller, askedHost, askedHost, caller))
	if b.scope.Proxy.Profile == mesh.HostProfile { // nobody declares for it
		missing = `heddle: the request has no host: name a service of the fleet in its Host header (:authority in HTTP/2)`
		unknown = refusal(404, reasonUnknown, fmt.Sprintf(`heddle: no host of the fleet runs a service "%s" that this host serves`, askedHost))
	}
	hostless := refusal(400, reasonNoHost, missing)
	hostless.Match.Headers = []*routev3.HeaderMatcher{{Name: ":authority", HeaderMatchSpecifier: stringMatch(&matcherv3.StringMatcher{
		MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: regex(`(:[0-9]*)?`)},
	})}}
	return b.authorized(&routev3.VirtualHost{
		Name: "undeclared", Domains: []string{"*"},
		Routes: []*routev3.Route{hostless, unknown},
	}, nil)
}
