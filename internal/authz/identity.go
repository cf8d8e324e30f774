package authz

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"google.golang.org/grpc/credentials"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// CallerKind is what sort of proxy asks.
type CallerKind string

// The kinds of callers, as they stand in their SPIFFE IDs.
const (
	ServiceCaller CallerKind = "service"
	GatewayCaller CallerKind = "gateway"
)

// Caller is who asks, as its certificate says.
type Caller struct {
	ID   string // SPIFFE ID
	Kind CallerKind
	Name string // of the service or the gateway
}

// ParseCaller reads a SPIFFE ID of a trust domain:
// spiffe://<trust domain>/service/<name> or …/gateway/<name>.
func ParseCaller(id, trustDomain string) (Caller, error) {
	parsed, err := spiffeid.FromString(id)
	if err != nil {
		return Caller{}, fmt.Errorf("%.200q is not a SPIFFE ID: %w", id, err)
	}
	if parsed.TrustDomain().Name() != trustDomain {
		return Caller{}, fmt.Errorf("%.200q is of another trust domain than %s", id, trustDomain)
	}
	kind, name, _ := strings.Cut(strings.TrimPrefix(parsed.Path(), "/"), "/")
	if kind := CallerKind(kind); (kind == ServiceCaller || kind == GatewayCaller) && name != "" && !strings.Contains(name, "/") {
		return Caller{ID: id, Kind: kind, Name: name}, nil
	}
	return Caller{}, fmt.Errorf("%.200q is neither a service nor a gateway", id)
}

// ServiceID is the SPIFFE ID of a service.
func ServiceID(trustDomain string, name mesh.ServiceName) string {
	return "spiffe://" + trustDomain + "/" + string(ServiceCaller) + "/" + string(name)
}

// proven is what the handshake of a connection found out about its caller, so
// that no request has to.
type proven struct {
	credentials.TLSInfo
	caller   Caller
	err      error
	ends     time.Time    // of the certificate
	standing func() error // why it counts no more; nil: it is not asked
}

// now gives the caller, unless the certificate counts no more: a connection may
// outlive it.
func (p proven) now() (Caller, error) {
	switch {
	case p.err != nil:
		return Caller{}, p.err
	case time.Now().After(p.ends):
		return Caller{}, fmt.Errorf("the certificate that the connection was made with expired at %s", p.ends.UTC().Format(time.RFC3339))
	case p.standing != nil:
		if err := p.standing(); err != nil {
			return Caller{}, err
		}
	}
	return p.caller, nil
}

// callerCredentials are TLS with client certificates, and the caller in them.
type callerCredentials struct {
	credentials.TransportCredentials
	trustDomain string
	standing    Standing
}

// Standing gives a check, made for each request, that a certificate is not revoked.
type Standing func(*x509.Certificate) func() error

// Credentials serve gRPC over TLS to callers with a certificate of the trust
// domain. current is asked at each handshake for the server's certificate and the
// authorities (ClientCAs) that callers are verified by; a certificate is demanded
// whatever it says. standing may be nil.
func Credentials(current func() (*tls.Config, error), trustDomain string, standing Standing) credentials.TransportCredentials {
	return callerCredentials{credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			cfg, err := current()
			if err != nil {
				return nil, err
			}
			cfg = cfg.Clone()
			cfg.ClientAuth = tls.RequireAndVerifyClientCert
			cfg.MinVersion = max(cfg.MinVersion, tls.VersionTLS12)
			cfg.NextProtos = []string{"h2"}
			return cfg, nil
		},
	}), trustDomain, standing}
}

// ServerHandshake finds the caller once for the connection.
func (c callerCredentials) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	p := proven{}
	p.TLSInfo, _ = info.(credentials.TLSInfo)
	p.caller, p.err = callerOf(p.State, c.trustDomain)
	if p.err == nil {
		certificate := p.State.VerifiedChains[0][0]
		p.ends = certificate.NotAfter
		if c.standing != nil {
			p.standing = c.standing(certificate)
		}
	}
	return conn, p, nil
}

// Clone implements [credentials.TransportCredentials].
func (c callerCredentials) Clone() credentials.TransportCredentials {
	return callerCredentials{c.TransportCredentials.Clone(), c.trustDomain, c.standing}
}

// ClientHandshake is not for these: they are a server's.
func (callerCredentials) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, fmt.Errorf("these credentials are for servers")
}

func callerOf(state tls.ConnectionState, trustDomain string) (Caller, error) {
	if len(state.VerifiedChains) == 0 {
		return Caller{}, fmt.Errorf("the connection has no verified certificate")
	}
	id, err := x509svid.IDFromCert(state.VerifiedChains[0][0])
	if err != nil {
		return Caller{}, err
	}
	return ParseCaller(id.String(), trustDomain)
}
