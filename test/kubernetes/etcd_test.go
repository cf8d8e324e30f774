package kubernetes_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/childtest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/kubetest"
	"github.com/heddle-mesh/heddle/internal/logtest"
)

// outsideEtcd is an etcd that asks for certificates, as one outside of the cluster.
type outsideEtcd struct {
	url    string
	folder string
	files  map[string][]byte // ca.crt, tls.crt and tls.key, as in a Secret
}

func (e outsideEtcd) file(name string) string { return filepath.Join(e.folder, name) }

func startEtcd(t *testing.T, c *kubetest.Cluster) outsideEtcd {
	t.Helper()
	e := outsideEtcd{url: fmt.Sprintf("https://%s:%d", hostAddress, heddletest.FreePort(t)), folder: t.TempDir(), files: pair(t, hostAddress)}
	for name, data := range e.files {
		if err := os.WriteFile(e.file(name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.Command(c.Program("etcd"), "--data-dir", e.file("data"), "--log-level", "error", "--unsafe-no-fsync",
		"--listen-client-urls", e.url, "--advertise-client-urls", e.url, "--listen-peer-urls", "http://127.0.0.1:0",
		"--trusted-ca-file", e.file("ca.crt"), "--cert-file", e.file("tls.crt"), "--key-file", e.file("tls.key"), "--client-cert-auth")
	var log logtest.Buffer
	command.Stdout, command.Stderr = &log, &log
	child, err := childtest.Start(command)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(child.Kill)
	kubetest.Eventually(t, "have an etcd", func() error {
		connection, err := net.DialTimeout("tcp", e.url[len("https://"):], time.Second)
		if err != nil {
			return fmt.Errorf("%w: %s", err, log.String())
		}
		return connection.Close()
	})
	return e
}

// pair is an authority's certificate, and one with its key that it signed for an address.
func pair(t *testing.T, address string) map[string][]byte {
	t.Helper()
	must := func(der []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	keys := make([]*ecdsa.PrivateKey, 2)
	for i := range keys {
		var err error
		if keys[i], err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "etcd"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.ParseIP(address)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	return map[string][]byte{
		"ca.crt":  block("CERTIFICATE", must(x509.CreateCertificate(rand.Reader, root, root, &keys[0].PublicKey, keys[0]))),
		"tls.crt": block("CERTIFICATE", must(x509.CreateCertificate(rand.Reader, leaf, root, &keys[1].PublicKey, keys[0]))),
		"tls.key": block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(keys[1]))),
	}
}
