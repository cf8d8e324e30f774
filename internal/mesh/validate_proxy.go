package mesh

import (
	"fmt"
	"maps"
	"slices"
)

// Validate reports every fault of what a proxy says of itself.
func (p *Proxy) Validate() Faults {
	var f Faults
	f.check("service", labelFault(string(p.Service)))
	f.check("instance", idFault(string(p.Instance)))
	switch p.Profile {
	case "":
	case HostProfile:
		if p.AppPort != 0 || p.InboundPort != 0 {
			f.Add("appPort", "is for a sidecar, and a host's proxy takes no calls for an application: leave it and inboundPort out")
		}
	case Proxyless:
		p.onlySidecars(&f, "is for an Envoy, and a proxyless client has none: leave it out")
		if p.Identity {
			f.Add("identity", "is for an Envoy, and a proxyless client has none: leave it out")
		}
	case GatewayProfile:
		p.onlySidecars(&f, "is for a sidecar, and a gateway stands beside no application: leave it out")
		if p.Gateway == nil {
			f.Add("gateway", "is required for the profile %q", GatewayProfile)
		} else {
			p.Gateway.validate(&f)
		}
	default:
		f.check("profile", fmt.Sprintf("%q is not known; leave it out for an Envoy beside a service, or say %q, %q or %q", cut(string(p.Profile)), Proxyless, GatewayProfile, HostProfile))
	}
	if p.Gateway != nil && p.Profile != GatewayProfile {
		f.Add("gateway", "is for the profile %q alone: leave it out", GatewayProfile)
	}
	switch p.TokenDelivery {
	case "", AskTokens:
	case PushTokens:
		if p.Profile != "" {
			f.Add("tokenDelivery", "%q is for a sidecar: gateways ask about each request, for the user behind it, and a proxyless client has no tokens", PushTokens)
		} else if !p.Identity {
			f.Add("tokenDelivery", "%q needs an identity (--identity-dir), with which the tokens are got", PushTokens)
		}
	default:
		f.check("tokenDelivery", fmt.Sprintf("%q is not one of %q, %q", cut(string(p.TokenDelivery)), AskTokens, PushTokens))
	}
	if p.Intercept != nil {
		p.Intercept.validate(&f)
		if p.Intercept.Transparent() {
			p.validateTransparent(&f)
		}
	}
	p.validateSocket(&f, "inbound", p.InboundAddress, p.InboundPort)
	p.validateSocket(&f, "app", p.AppAddress, p.AppPort)
	p.validateSocket(&f, "outbound", p.OutboundAddress, p.OutboundPort)
	for _, name := range slices.Sorted(maps.Keys(p.DependencyPorts)) {
		f.check("dependencyPorts", labelFault(string(name)))
		f.check(join("dependencyPorts", cut(string(name))), portFault(p.DependencyPorts[name]))
	}
	return f
}

// onlySidecars refuses what only an Envoy beside an application has.
func (p *Proxy) onlySidecars(f *Faults, why string) {
	for _, field := range []struct {
		path string
		set  bool
	}{
		{"inboundAddress", p.InboundAddress != ""}, {"inboundPort", p.InboundPort != 0},
		{"appAddress", p.AppAddress != ""}, {"appPort", p.AppPort != 0},
		{"outboundAddress", p.OutboundAddress != ""}, {"outboundPort", p.OutboundPort != 0},
		{"dependencyPorts", len(p.DependencyPorts) > 0}, {"intercept", p.Intercept != nil},
	} {
		if field.set {
			f.check(field.path, why)
		}
	}
}

func (p *Proxy) validateSocket(f *Faults, side, address string, port Port) {
	if address != "" {
		f.check(side+"Address", ipFault(address))
	}
	if port != 0 {
		f.check(side+"Port", portFault(port))
	}
}

func (g *GatewayProxy) validate(f *Faults) {
	if g.ListenAddress != "" {
		f.check("gateway.listenAddress", ipFault(g.ListenAddress))
	}
	for _, one := range []struct {
		path string
		port Port
	}{{"gateway.httpPort", g.HTTPPort}, {"gateway.httpsPort", g.HTTPSPort}, {"gateway.publicPort", g.PublicPort}} {
		if one.port != 0 {
			f.check(one.path, portFault(one.port))
		}
	}
	switch {
	case g.HTTPPort == 0 && g.HTTPSPort == 0:
		f.Add("gateway", "listens nowhere: give it a port for HTTP, for HTTPS, or both")
	case g.HTTPPort == g.HTTPSPort:
		f.Add("gateway.httpsPort", "%d is the port for plain HTTP already", int(g.HTTPSPort))
	case g.HTTPSPort != 0 && g.Certificates == 0:
		f.Add("gateway.certificates", "is required: HTTPS needs a certificate")
	case g.HTTPSPort == 0 && (g.HTTP3 || g.Certificates > 0 || g.PublicPort != 0):
		f.Add("gateway.httpsPort", "is required with certificates, a public port and HTTP/3")
	}
	if g.Certificates < 0 || g.Certificates > maxCertificates {
		f.Add("gateway.certificates", "%d is out of range: use 0 to %d", g.Certificates, maxCertificates)
	}
	if g.TrustedHops < 0 || g.TrustedHops > 10 {
		f.Add("gateway.trustedHops", "%d is out of range: use 0 to 10", g.TrustedHops)
	}
}

// maxCertificates bounds those of one gateway.
const maxCertificates = 100
