package translate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Scope is what one proxy may see. Proxies of one service that say the same of
// themselves share a scope.
type Scope struct {
	Service mesh.ServiceName
	Proxy   mesh.Proxy // without Instance, and without what is the default anyway
}

// ScopeOf gives the scope of a proxy.
func ScopeOf(p mesh.Proxy) Scope {
	p.Instance = ""
	clear := func(address *string, standard string) {
		if *address == standard {
			*address = ""
		}
	}
	clear(&p.InboundAddress, mesh.DefaultInboundAddress)
	clear(&p.AppAddress, mesh.DefaultLoopback)
	clear(&p.OutboundAddress, mesh.DefaultLoopback)
	if p.OutboundPort == mesh.DefaultOutboundPort {
		p.OutboundPort = 0
	}
	if p.TokenDelivery == mesh.AskTokens {
		p.TokenDelivery = ""
	}
	if p.Intercept != nil {
		own := *p.Intercept
		if own.Port == mesh.DefaultInterceptPort {
			own.Port = 0
		}
		if own.Outside == mesh.PassOutside {
			own.Outside = ""
		}
		if own.Mode == mesh.RedirectMode {
			own.Mode = ""
		}
		p.Intercept = &own
	}
	if len(p.DependencyPorts) == 0 {
		p.DependencyPorts = nil
	}
	return Scope{Service: p.Service, Proxy: p}
}

const (
	proxylessScope = ".proxyless"
	gatewayScope   = ".gateway."
)

// Proxyless says whether a scope of that name is a gRPC library's.
func Proxyless(scope string) bool { return strings.HasSuffix(scope, proxylessScope) }

// OfGateway says whether a scope of that name is a gateway's.
func OfGateway(scope string) bool { return strings.Contains(scope, gatewayScope) }

// Name is "<service>" for an Envoy with the default settings,
// "<service>.proxyless" for a gRPC library (which has no settings),
// "<name>.gateway.<16 hex digits>" for a gateway, else
// "<service>.<16 hex digits>"; a service's name has no dot. Two profiles with one
// name would be sent one's ports and addresses: with 8 digits that happened among
// some ten thousand hosts.
func (s Scope) Name() string {
	p := s.Proxy
	if p.Profile == mesh.Proxyless {
		return string(s.Service) + proxylessScope
	}
	p.Service, p.Instance = "", ""
	profile, err := json.Marshal(p) // the keys of maps are sorted
	if err != nil {
		panic("translate: a proxy of strings and numbers cannot be encoded: " + err.Error())
	}
	if string(profile) == `{"service":"","instance":""}` {
		return string(s.Service)
	}
	sum := sha256.Sum256(profile)
	if p.Profile == mesh.GatewayProfile {
		return string(s.Service) + gatewayScope + hex.EncodeToString(sum[:8])
	}
	return string(s.Service) + "." + hex.EncodeToString(sum[:8])
}
