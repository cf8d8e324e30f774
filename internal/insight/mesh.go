package insight

import (
	"slices"
	"time"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/placement"
	"github.com/heddle-mesh/heddle/internal/translate"
)

// Mesh is what questions are asked of. View is required.
type Mesh struct {
	View  *catalog.View
	Trust translate.Trust
	// Proxies gives those that are connected to this server, by node: of one service or
	// gateway, or of all without a name; nil: none are.
	Proxies func(of mesh.ServiceName) []Proxy
	// Quarantine are the versions of resources that nobody is sent, because a proxy
	// refused them.
	Quarantine []Quarantined
	// Revoked says until when an identity (such as "service/web") had to join for its
	// certificates to be revoked; nil: nobody's are.
	Revoked func(identity string) (until time.Time, is bool)
	// Seen gives what proxies told of the calls from one to another, and whether they
	// told anything; nil: nobody reports.
	Seen func(caller, callee string) (mesh.Edge, bool)
	// Machines shares what becomes of virtual machines; nil: it is made when it is asked for.
	Machines *placement.Cache
	Now      time.Time
	// Applied is the registry's revision up to which proxies are sent what was written.
	Applied int64
}

// connected are the proxies of a service, or of a gateway.
func (m *Mesh) connected(of mesh.ServiceName, gateway bool) []Proxy {
	if m.Proxies == nil {
		return nil
	}
	return slices.DeleteFunc(m.Proxies(of), func(p Proxy) bool { return p.Scope.Service != of || isGateway(p.Scope) != gateway })
}

// Proxy is one connected proxy.
type Proxy struct {
	Node      string // its node id, "<service>/<instance>"
	Scope     translate.Scope
	Connected time.Time
	Types     []ProxyType
}

// ProxyType is how far a proxy has come with one type of resource.
type ProxyType struct {
	Type               string // type URL
	Sent, Acknowledged string // versions
	BehindSince        time.Time
	Waiting            bool        // something is still to be sent or answered; what was refused aside
	Rejected           []Rejection // what it refused and still lacks
	Refused            *Refused    // what it refused last; nil: nothing
}

// Rejection is a resource that a proxy refused and still lacks.
type Rejection struct {
	Origin  translate.Origin // the declaration behind it
	Message string           // the proxy's words
}

// Refused is an answer that a proxy refused (a NACK).
type Refused struct {
	Message string
	At      time.Time
	// Standing says that nothing that was accepted has replaced it yet.
	Standing bool
	Names    []string
	Origins  []translate.Origin // the declarations behind it
}

// Quarantined is a version of a resource that a proxy refused.
type Quarantined struct {
	Type, Name string
	Origin     translate.Origin
	Good       string // the version in force instead; empty: none
	Message    string
	Node       string
}

// behind says since when the proxy lacks something.
func (p *Proxy) behind() (since time.Time, is bool) {
	for _, t := range p.Types {
		if !t.BehindSince.IsZero() && (since.IsZero() || t.BehindSince.Before(since)) {
			since = t.BehindSince
		}
	}
	return since, !since.IsZero()
}

// refused is what the proxy refused and still lacks.
func (p *Proxy) refused() (ProxyType, bool) {
	for _, t := range p.Types {
		if t.Refused != nil && t.Refused.Standing {
			return t, true
		}
	}
	return ProxyType{}, false
}
