package demo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/heddle-mesh/heddle/internal/demo/shop"
)

// trustDomain is that of the demo's mesh: the default.
const trustDomain = "heddle.local"

func spiffeID(service string) string { return "spiffe://" + trustDomain + "/service/" + service }

// bearer is a program that has a certificate of the mesh, and calls the ports of
// others with it by itself: without a sidecar, and so without what that adds.
type bearer struct {
	certificate []tls.Certificate // none: a program without one
	roots       *x509.CertPool
}

// bearerOf has the certificate of an instance, as who broke into its machine would.
func (t *town) bearerOf(id string) (*bearer, error) {
	current := filepath.Join(t.identityFolder(id), "current")
	pair, err := tls.LoadX509KeyPair(filepath.Join(current, "cert.pem"), filepath.Join(current, "key.pem"))
	if err != nil {
		return nil, fmt.Errorf("read the certificate of %s: %w", id, err)
	}
	bundle, err := os.ReadFile(filepath.Join(current, "bundle.pem"))
	if err != nil {
		return nil, fmt.Errorf("read the roots of %s: %w", id, err)
	}
	b := &bearer{certificate: []tls.Certificate{pair}, roots: x509.NewCertPool()}
	b.roots.AppendCertsFromPEM(bundle)
	return b, nil
}

// settings meet a server that proves to be one of the mesh; peer is then its SPIFFE ID.
func (b *bearer) settings(peer *atomic.Value, protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: protocols, Certificates: b.certificate,
		InsecureSkipVerify: true, //nolint:gosec // verified below: it is known by its SPIFFE ID, not by a name
		VerifyConnection: func(state tls.ConnectionState) error {
			leaf := state.PeerCertificates[0]
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: b.roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err != nil {
				return err
			}
			if len(leaf.URIs) != 1 {
				return errors.New("its certificate has no SPIFFE ID")
			}
			peer.Store(leaf.URIs[0].String())
			return nil
		},
	}
}

// ask calls the inbound port of an instance with a token of the mesh, "" for none.
// It gives what came back and who answered.
func (b *bearer) ask(ctx context.Context, i *instance, path, token string) (got reply, peer string, err error) {
	var id atomic.Value
	f := newFront(i.id+"'s port", i.service, address(i.inbound))
	defer f.close()
	f.secure(b.settings(&id, "heddle", "http/1.1"))
	if token != "" {
		f.header = http.Header{http.CanonicalHeaderKey(shop.TokenHeader): {token}}
	}
	got, err = f.get(ctx, path)
	peer, _ = id.Load().(string)
	return got, peer, err
}
