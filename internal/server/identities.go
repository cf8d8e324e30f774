package server

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/identity"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// CertificateRequest is the body of a request for an identity.
type CertificateRequest struct {
	CSR string `json:"csr" doc:"PKCS #10 certificate request, PEM, at most 8 KiB. Its key counts (ECDSA P-256 or P-384, or RSA of 2048 to 4096 bits), and the names in it do not."`
}

// Certificate is an identity and whom its holder is to trust.
type Certificate struct {
	ID        string    `json:"id" doc:"SPIFFE ID." example:"spiffe://heddle.local/service/orders"`
	Workload  string    `json:"workload" doc:"Names this certificate and those that renew it, in the audit log and for a revocation." example:"6920a1b40c5be1f372"`
	Chain     string    `json:"chain" doc:"The certificate and those between it and a root, PEM."`
	Bundle    string    `json:"bundle" doc:"The root certificates to trust, PEM."`
	ExpiresAt time.Time `json:"expiresAt" doc:"When the certificate does; get another after half of the time."`
}

func (s *Server) identityOperations() {
	const path, tag = "/api/v1/identities", "identities"
	register(s, operation{
		method: http.MethodPost, path: path, tag: tag, id: "issueIdentity", summary: "Get a certificate",
		description: "Over TLS only. With a join token as the bearer token it is of whom the token is for; without one it is of whom the certificate is that the connection was made with.",
		status:      http.StatusCreated, body: CertificateRequest{}, token: true, refusals: []int{http.StatusNotFound},
		example: `{"csr":"-----BEGIN CERTIFICATE REQUEST-----\n…\n-----END CERTIFICATE REQUEST-----\n"}`,
	}, s.issueIdentity)
}

type certificateAnswer struct {
	Body Certificate
}

func (s *Server) issueIdentity(ctx context.Context, in *struct{ Call }) (*certificateAnswer, error) {
	authority, r := s.cfg.Identities, in.request
	if authority == nil {
		return nil, noIdentities()
	}
	if r.TLS == nil {
		return nil, mesh.Denied("identities are given over TLS only: use the address of --tls-listen, with https://")
	}
	proven, err := authority.Client(r.TLS)
	if err != nil {
		return nil, err
	}
	joining := len(r.Header.Values("Authorization")) > 0
	if proven == (identity.Proof{}) && !joining {
		return nil, unauthorized("this needs a join token (\"Authorization: Bearer <join token>\"), made with \"heddle token create --join SERVICE\" (or --join-gateway, --join-authz), or a connection with the certificate that is to be renewed")
	}
	var body CertificateRequest
	if err := in.decode(&body); err != nil {
		return nil, err
	}
	key, err := identity.RequestKey(body.CSR)
	if err != nil {
		return nil, err
	}
	how := "renewed"
	var issued identity.Issued
	if joining {
		how = "joined"
		as, err := s.join(ctx, r, key)
		if err != nil {
			return nil, err
		}
		issued, err = authority.Issue(body.CSR, as)
		if err != nil {
			return nil, err
		}
	} else if issued, err = authority.Renew(body.CSR, proven); err != nil {
		return nil, err
	}
	s.cfg.Registry.LogAudit(ctx, registry.Write{Author: issued.ID, From: r.RemoteAddr, Source: "rest"}, how, mesh.RevocationOfWorkload(issued.Workload), "")
	return &certificateAnswer{Body: Certificate(issued)}, nil
}

// join finds whom a request's join token is for.
func (s *Server) join(ctx context.Context, r *http.Request, key string) (mesh.Identity, error) {
	values := r.Header.Values("Authorization")
	scheme, text, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || len(text) > 512 {
		return mesh.Identity{}, unauthorized("the Authorization header is not of the form \"Bearer <join token>\"")
	}
	text = strings.TrimSpace(text)
	if secret, _, err := identity.ParseJoinToken(text); err == nil {
		text = secret // the pin is for the client
	}
	token, err := s.cfg.Registry.Join(ctx, text, key, registry.Write{From: r.RemoteAddr, Source: "rest"})
	return token.Identity(), err
}

func noIdentities() error {
	return mesh.NotFound("this server gives no identities: start it with --tls-listen")
}
