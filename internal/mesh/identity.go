package mesh

import (
	"fmt"
	"strings"
)

// IdentityKind says what an identity is of.
type IdentityKind string

// The kinds. All but the first two have one identity each.
const (
	ServiceIdentity IdentityKind = "service" // of a service's workloads
	GatewayIdentity IdentityKind = "gateway" // of the gateways of one name
	AuthzIdentity   IdentityKind = "authz"   // of AuthZ services that run apart
	ServerIdentity  IdentityKind = "server"  // of control planes
)

// Identity is who a certificate proves its holder to be. The zero value is nobody.
type Identity struct {
	Kind IdentityKind
	Name ServiceName // of a service or a gateway
}

// ownSegment is the first segment of the SPIFFE IDs of Heddle's own parts.
const ownSegment = "heddle"

// String is the identity within its trust domain: service/orders, gateway/edge,
// heddle/authz, heddle/server; "" is nobody. With the trust domain before it, it
// is the SPIFFE ID.
func (i Identity) String() string {
	switch i.Kind {
	case "":
		return ""
	case ServiceIdentity, GatewayIdentity:
		return string(i.Kind) + "/" + string(i.Name)
	}
	return ownSegment + "/" + string(i.Kind)
}

// ParseIdentity reads what String writes.
func ParseIdentity(text string) (Identity, error) {
	first, name, _ := strings.Cut(text, "/")
	switch kind := IdentityKind(first); kind {
	case ServiceIdentity, GatewayIdentity:
		if labelFault(name) == "" {
			return Identity{kind, ServiceName(name)}, nil
		}
	case ownSegment:
		if kind := IdentityKind(name); kind == AuthzIdentity || kind == ServerIdentity {
			return Identity{Kind: kind}, nil
		}
	}
	return Identity{}, fmt.Errorf("%+q is not service/NAME, gateway/NAME, %s/%s or %s/%s", cut(text), ownSegment, AuthzIdentity, ownSegment, ServerIdentity)
}

// Phrase names the holder for people: service "orders", gateway "edge", the AuthZ
// service, the control plane.
func (i Identity) Phrase() string {
	switch i.Kind {
	case AuthzIdentity:
		return "the AuthZ service"
	case ServerIdentity:
		return "the control plane"
	case "":
		return "nobody"
	}
	return fmt.Sprintf("%s %q", i.Kind, i.Name)
}

// JoinCommand is what makes a join token for the identity.
func (i Identity) JoinCommand() string {
	switch i.Kind {
	case GatewayIdentity:
		return "heddle token create --join-gateway " + ShellWord(string(i.Name))
	case AuthzIdentity:
		return "heddle token create --join-authz"
	}
	return "heddle token create --join " + ShellWord(string(i.Name))
}
