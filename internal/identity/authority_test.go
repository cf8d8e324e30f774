package identity

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// own makes an authority as a server does at its first start.
func own(t testing.TB, cfg Config) *Authority {
	t.Helper()
	files := In(t.TempDir())
	if err := Create(cfg, files); err != nil {
		t.Fatal(err)
	}
	a, err := Load(cfg, files)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func csr(t testing.TB, key crypto.Signer, template x509.CertificateRequest) string {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// first gives the first certificate of a chain.
func first(t testing.TB, chain string) *x509.Certificate {
	t.Helper()
	all, err := ParseCertificates([]byte(chain))
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

func TestAnIdentityIsOfTheServiceAndNothingElse(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	a := own(t, Config{TrustDomain: "example.org", Lifetime: time.Hour, Now: func() time.Time { return now }})
	evil, _ := url.Parse("spiffe://example.org/heddle/server")
	request := csr(t, newKey(t), x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "root"}, DNSNames: []string{"admin.example.org"}, URIs: []*url.URL{evil},
	})
	issued, err := a.Issue(request, workloadOf("orders"))
	if err != nil {
		t.Fatal(err)
	}
	leaf := first(t, issued.Chain)
	if issued.ID != "spiffe://example.org/service/orders" || len(leaf.URIs) != 1 || leaf.URIs[0].String() != issued.ID {
		t.Errorf("ID %s, URIs %v", issued.ID, leaf.URIs)
	}
	if leaf.IsCA || len(leaf.DNSNames)+len(leaf.IPAddresses)+len(leaf.EmailAddresses) > 0 || leaf.Subject.String() != "" || leaf.KeyUsage != x509.KeyUsageDigitalSignature {
		t.Errorf("it is for more: %+v", leaf)
	}
	if !leaf.NotAfter.Equal(now.Add(time.Hour)) || !issued.ExpiresAt.Equal(leaf.NotAfter) {
		t.Errorf("it ends at %s", leaf.NotAfter)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool(a.roots), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
	if of, err := identityOf(leaf, a.domain); err != nil || of != workloadOf("orders") {
		t.Errorf("it is read as %q, %v", of, err)
	}
}

// Each kind of identity has SPIFFE IDs of its own; that of the control plane is given to nobody.
func TestKindsOfIdentities(t *testing.T) {
	a := own(t, Config{TrustDomain: "example.org"})
	request := csr(t, newKey(t), x509.CertificateRequest{})
	for of, want := range map[mesh.Identity]string{
		{Kind: mesh.ServiceIdentity, Name: "edge"}: "spiffe://example.org/service/edge",
		{Kind: mesh.GatewayIdentity, Name: "edge"}: "spiffe://example.org/gateway/edge",
		{Kind: mesh.AuthzIdentity}:                 "spiffe://example.org/heddle/authz",
	} {
		issued, err := a.Issue(request, of)
		if err != nil || issued.ID != want {
			t.Errorf("%s: %s, %v", of, issued.ID, err)
			continue
		}
		if got, err := identityOf(first(t, issued.Chain), a.domain); err != nil || got != of {
			t.Errorf("%s is read as %s, %v", want, got, err)
		}
	}
	for _, of := range []mesh.Identity{{}, {Kind: mesh.ServerIdentity}, {Kind: mesh.GatewayIdentity}, {Kind: mesh.ServiceIdentity, Name: "../heddle/server"}, {Kind: mesh.ServiceIdentity, Name: "a/b"}} {
		if issued, err := a.Issue(request, of); err == nil {
			t.Errorf("%q was given %s", of, issued.ID)
		}
	}
	for _, path := range []string{"/", "/service", "/service/a/b", "/service/A", "/gateway/", "/heddle", "/heddle/authz/x", "/heddle/root", "/other/web"} {
		if of, err := mesh.ParseIdentity(strings.TrimPrefix(path, "/")); err == nil {
			t.Errorf("%s is taken for %s", path, of)
		}
	}
}

func workloadOf(service mesh.ServiceName) mesh.Identity {
	return mesh.Identity{Kind: mesh.ServiceIdentity, Name: service}
}

func TestHostileRequests(t *testing.T) {
	a := own(t, Config{})
	good := csr(t, newKey(t), x509.CertificateRequest{})
	block, _ := pem.Decode([]byte(good))
	forged := bytes.Clone(block.Bytes)
	forged[len(forged)-1] ^= 1
	small, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // too small on purpose
	if err != nil {
		t.Fatal(err)
	}
	p224, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	for name, c := range map[string]struct{ request, want string }{
		"empty":           {"", "is not one PEM block"},
		"a certificate":   {EncodeCertificates(a.root()), "is not one PEM block"},
		"two":             {good + good, "is not one PEM block"},
		"rubbish":         {"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "cannot be read"},
		"large":           {good + strings.Repeat(" ", maxRequest), "at most 8192 are allowed"},
		"forged":          {string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: forged})), "not signed by its key"},
		"a small RSA key": {csr(t, small, x509.CertificateRequest{SignatureAlgorithm: x509.SHA256WithRSA}), "RSA key of 1024 bits"},
		"P-224":           {csr(t, p224, x509.CertificateRequest{}), "P-224"},
		"Ed25519":         {csr(t, ed, x509.CertificateRequest{}), "Ed25519"},
	} {
		if issued, err := a.Issue(c.request, workloadOf("web")); mesh.KindOf(err) != mesh.KindInvalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v", name, issued, err)
		}
	}
}

func FuzzRequests(f *testing.F) {
	a := own(f, Config{})
	f.Add(csr(f, newKey(f), x509.CertificateRequest{DNSNames: []string{"x"}}))
	f.Add("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n")
	f.Fuzz(func(t *testing.T, request string) {
		issued, err := a.Issue(request, workloadOf("web"))
		if err != nil {
			if mesh.KindOf(err) != mesh.KindInvalid {
				t.Errorf("%v is no fault of the request", err)
			}
			return
		}
		if leaf := first(t, issued.Chain); len(leaf.URIs) != 1 || leaf.URIs[0].Path != "/service/web" || leaf.IsCA {
			t.Errorf("it got %+v", leaf)
		}
	})
}

// authorityOf makes a certificate of an authority, signed by another or by itself.
func authorityOf(t testing.TB, name string, key *ecdsa.PrivateKey, signer *x509.Certificate, signerKey *ecdsa.PrivateKey, ends time.Time) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: ends, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if signer == nil {
		signer, signerKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, key.Public(), signerKey)
	if err != nil {
		t.Fatal(err)
	}
	one, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return one
}

// A company's root signs Heddle's authority: everyone trusts the root, and who has
// only that can follow the chain.
func TestAnIntermediateOfACompanysRoot(t *testing.T) {
	rootKey, key := newKey(t), newKey(t)
	year := time.Now().AddDate(1, 0, 0)
	root := authorityOf(t, "company", rootKey, nil, nil, year)
	between := authorityOf(t, "heddle", key, root, rootKey, time.Now().Add(30*time.Minute))
	a, err := New(Config{}, key, []*x509.Certificate{between, root}, nil)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := a.Issue(csr(t, newKey(t), x509.CertificateRequest{}), workloadOf("web"))
	if err != nil {
		t.Fatal(err)
	}
	chain, err := ParseCertificates([]byte(issued.Chain))
	if err != nil || len(chain) != 2 {
		t.Fatalf("%d certificates, %v", len(chain), err)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{Roots: pool([]*x509.Certificate{root}), Intermediates: pool(chain[1:])}); err != nil {
		t.Error(err)
	}
	if a.Pin() != Pin(root) || a.Bundle() != EncodeCertificates(root) || chain[0].NotAfter.After(between.NotAfter) {
		t.Errorf("pin %s, bundle %s, it ends at %s", a.Pin(), a.Bundle(), chain[0].NotAfter)
	}
	for name, c := range map[string]struct {
		key   *ecdsa.PrivateKey
		chain []*x509.Certificate
		more  []*x509.Certificate
		want  string
	}{
		"without its root":     {key, []*x509.Certificate{between}, nil, "give the whole chain"},
		"in the wrong order":   {key, []*x509.Certificate{root, between}, nil, "is not that of the authority's key"},
		"of another key":       {rootKey, []*x509.Certificate{between, root}, nil, "is not that of the authority's key"},
		"none":                 {key, nil, nil, "has no certificate"},
		"a leaf":               {key, []*x509.Certificate{chain[0], between, root}, nil, "is not that of the authority's key"},
		"expired":              {key, []*x509.Certificate{authorityOf(t, "old", key, nil, nil, time.Now().Add(-time.Minute))}, nil, "expired at"},
		"a further non-root":   {rootKey, []*x509.Certificate{root}, []*x509.Certificate{between}, "is not the certificate of a root"},
		"not an authority's":   {key, []*x509.Certificate{selfSigned(t, key)}, nil, "may not sign others"},
		"someone else's chain": {key, []*x509.Certificate{between, authorityOf(t, "company", newKey(t), nil, nil, year)}, nil, "is not signed by"},
	} {
		if _, err := New(Config{}, c.key, c.chain, c.more); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func selfSigned(t *testing.T, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	one, _ := x509.ParseCertificate(der)
	return one
}

// One root follows another: first it is trusted besides, then it signs, then the
// old one goes. At each step, whoever is one step behind trusts and is trusted.
func TestRootsFollowEachOtherWithOverlap(t *testing.T) {
	keys := []*ecdsa.PrivateKey{newKey(t), newKey(t)}
	year := time.Now().AddDate(1, 0, 0)
	roots := []*x509.Certificate{authorityOf(t, "one", keys[0], nil, nil, year), authorityOf(t, "two", keys[1], nil, nil, year)}
	step := func(signs int, more ...*x509.Certificate) (leaf *x509.Certificate, bundle []*x509.Certificate) {
		a, err := New(Config{}, keys[signs], roots[signs:signs+1], more)
		if err != nil {
			t.Fatal(err)
		}
		issued, err := a.Issue(csr(t, newKey(t), x509.CertificateRequest{}), workloadOf("web"))
		if err != nil {
			t.Fatal(err)
		}
		bundle, err = ParseCertificates([]byte(issued.Bundle))
		if err != nil {
			t.Fatal(err)
		}
		return first(t, issued.Chain), bundle
	}
	var leaves []*x509.Certificate
	var bundles [][]*x509.Certificate
	for _, one := range []struct {
		signs int
		more  []*x509.Certificate
	}{{0, nil}, {0, roots[1:]}, {1, roots[:1]}, {1, nil}} {
		leaf, bundle := step(one.signs, one.more...)
		leaves, bundles = append(leaves, leaf), append(bundles, bundle)
	}
	for i, leaf := range leaves {
		for _, j := range []int{i - 1, i, i + 1} {
			if j < 0 || j >= len(bundles) {
				continue
			}
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool(bundles[j])}); err != nil {
				t.Errorf("the certificate of step %d is not trusted at step %d: %v", i, j, err)
			}
		}
	}
}

func TestTheKeyIsForItsOwnerOnly(t *testing.T) {
	dir := t.TempDir()
	files := In(dir)
	if err := Create(Config{}, files); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(files.Key)
	if info, err := os.Stat(files.Key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := Create(Config{}, files); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.ReadFile(files.Key); !bytes.Equal(before, after) {
		t.Error("a second start made another key")
	}
	if err := os.Chmod(files.Key, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(Config{}, files); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others may read: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".heddle-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestTrustDomains(t *testing.T) {
	for name, good := range map[string]bool{"heddle.local": true, "prod_eu-1.example.org": true, "": false, "Example.org": false, "spiffe://example.org": false, "a/b": false, "a b": false} {
		if _, err := ParseTrustDomain(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}
