package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/scratch"
)

// CertificateFiles name a certificate chain and its private key, both PEM.
type CertificateFiles struct{ Certificate, Key string }

const (
	// certificatePoll is how soon a renewed certificate is served.
	certificatePoll = time.Second
)

// certificates hands a gateway's certificates to its Envoy, by files in a folder
// that only this user can read, and follows their renewal. Envoy is given a pair
// that fits together, or goes on with the one that it has.
type certificates struct {
	pairs  []CertificateFiles
	log    *slog.Logger
	folder *scratch.Folder // in which Envoy runs; nil when there are no certificates

	// Of open, then of watch alone.
	served [][]byte // what was last handed over, by pair
	told   []string // the fault that was last told, by pair
}

func newCertificates(pairs []CertificateFiles, log *slog.Logger) *certificates {
	return &certificates{pairs: pairs, log: log, served: make([][]byte, len(pairs)), told: make([]string, len(pairs))}
}

// open hands the certificates over for the first time, in a folder with a link to
// the identity if there is one. Each fault is told.
func (c *certificates) open(identity *Identity) error {
	if len(c.pairs) == 0 {
		return nil
	}
	var faults mesh.Faults
	var secrets [][]byte
	for i, pair := range c.pairs {
		secret, _, err := pair.secret(i)
		if err != nil {
			faults.Add(fmt.Sprintf("tlsCert[%d]", i), "%v", err)
		}
		secrets = append(secrets, secret)
	}
	if err := mesh.Invalid("read the gateway's certificates", faults); err != nil {
		return err
	}
	folder, err := MakeFolder(c.log)
	if err != nil {
		return fmt.Errorf("make a folder for the gateway's certificates: %w", err)
	}
	c.folder = folder
	if err := c.fill(secrets, identity); err != nil {
		c.close()
		return fmt.Errorf("make a folder for the gateway's certificates: %w", err)
	}
	return nil
}

// fill puts into the folder what Envoy is told to look for there.
func (c *certificates) fill(secrets [][]byte, identity *Identity) error {
	if identity != nil {
		if err := os.Symlink(identity.Dir, filepath.Join(c.folder.Path, mesh.IdentityFolder)); err != nil {
			return err
		}
	}
	if err := os.Mkdir(filepath.Join(c.folder.Path, mesh.CertificateFolder), 0o700); err != nil {
		return err
	}
	for i, secret := range secrets {
		if err := c.write(i, secret); err != nil {
			return err
		}
	}
	return nil
}

// close removes what was handed over.
func (c *certificates) close() {
	if c.folder == nil {
		return
	}
	if err := c.folder.Close(); err != nil {
		c.log.Warn("the folder of the gateway's certificates cannot be removed", "error", err)
	}
}

// watch hands over what was renewed, until ctx ends.
func (c *certificates) watch(ctx context.Context) {
	if len(c.pairs) == 0 {
		return
	}
	for sleep(ctx, certificatePoll) {
		for i := range c.pairs {
			c.renew(i)
		}
	}
}

func (c *certificates) renew(i int) {
	pair := c.pairs[i]
	secret, end, err := pair.secret(i)
	if err == nil && !bytes.Equal(secret, c.served[i]) {
		if err = c.write(i, secret); err == nil {
			c.log.Info("a renewed certificate is served", "file", pair.Certificate)
		}
	}
	fault := ""
	switch {
	case err != nil:
		fault = "a certificate was not taken, the last good one stays: " + err.Error()
	case time.Now().After(end):
		fault = fmt.Sprintf("the certificate in %s ended on %s: clients refuse it until it is renewed", pair.Certificate, end.UTC().Format(time.RFC3339))
	}
	if fault != c.told[i] && fault != "" {
		c.log.Error(fault)
	}
	c.told[i] = fault
}

// write replaces a file in one step, which Envoy notices.
func (c *certificates) write(i int, secret []byte) error {
	name := filepath.Join(c.folder.Path, mesh.CertificateFolder, strconv.Itoa(i)+".json")
	if err := os.WriteFile(name+".new", secret, 0o600); err != nil {
		return fmt.Errorf("hand a certificate to Envoy: %w", err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return fmt.Errorf("hand a certificate to Envoy: %w", err)
	}
	c.served[i] = secret
	return nil
}

// secret reads a pair that fits together, makes what Envoy's file-based SDS reads
// of it, and tells when the certificate ends.
func (p CertificateFiles) secret(i int) (secret []byte, end time.Time, err error) {
	chain, err := os.ReadFile(p.Certificate)
	if err != nil {
		return nil, end, err
	}
	key, err := os.ReadFile(p.Key)
	if err != nil {
		return nil, end, err
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, end, fmt.Errorf("%s with %s: %w", p.Certificate, p.Key, err)
	}
	inline := func(data []byte) *corev3.DataSource {
		return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: data}}
	}
	packed, err := anypb.New(&tlsv3.Secret{
		Name: mesh.CertificateName(i),
		Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
			CertificateChain: inline(chain), PrivateKey: inline(key),
		}},
	})
	if err != nil {
		return nil, end, fmt.Errorf("encode a certificate for Envoy: %w", err)
	}
	secret, err = encode(&discoveryv3.DiscoveryResponse{Resources: []*anypb.Any{packed}})
	return secret, pair.Leaf.NotAfter, err
}
