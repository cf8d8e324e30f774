package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/logtest"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// callerFiles gives the flags for connections of sidecars over TLS.
func callerFiles(t *testing.T, prefix string) []string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authz"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, DNSNames: []string{"localhost"},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: certificate}, "key.pem": {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return []string{
		"--" + prefix + "cert-file", filepath.Join(dir, "cert.pem"), "--" + prefix + "cert-key-file", filepath.Join(dir, "key.pem"),
		"--" + prefix + "client-ca-file", filepath.Join(dir, "cert.pem"),
	}
}

// TestAuthzServicesMakeThemselvesKnown follows the announcements and the published
// keys of AuthZ services that come and go.
func TestAuthzServicesMakeThemselvesKnown(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	server := start("--log-level", "error", "server", "--listen", "127.0.0.1:0", "--xds-listen", "127.0.0.1:0",
		"--data-dir", file("data"), "--ready-file", file("ready.json"), "--admin-token-file", file("token"))
	awaitReady(t, server, file("ready.json"))
	if err := os.WriteFile(file("secret"), []byte(strings.Repeat("5e", 32)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	etcd := []string{"--etcd-endpoints", "unix://" + file("data/etcd.sock")}
	store, err := registry.Open(t.Context(), registry.Config{Endpoints: etcd[1:]})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	trust := func() registry.Trust {
		t.Helper()
		found, err := store.Trust(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	authzWith := func(name string, args ...string) *command {
		args = append(append(append([]string{"--log-level", "warn", "authz", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--ready-file", file(name)}, etcd...), callerFiles(t, "")...), args...)
		c := start(args...)
		await(t, name+" to be ready", func() bool {
			if c.ended() {
				t.Fatalf("it ended:\n%s", c.stderr.String())
			}
			_, err := os.Stat(file(name))
			return err == nil
		})
		return c
	}
	announced := func(want int) {
		t.Helper()
		await(t, "the AuthZ services to be announced", func() bool { return len(trust().Authorizers) == want })
	}

	one := authzWith("one.json", "--key-file", file("secret"), "--advertise", "127.0.0.1:18001")
	announced(1)
	await(t, "the keys to be published", func() bool { return trust().Keys != nil })
	first := trust()
	if first.Keys == nil || first.Keys.Issuer != "https://heddle.local" || len(first.Keys.JWKS) < 100 || first.Authorizers[0].Address != "127.0.0.1" {
		t.Fatalf("published: %+v", first)
	}
	two := authzWith("two.json", "--key-file", file("secret"), "--advertise", "10.1.2.3:18001")
	announced(2)
	stranger := authzWith("stranger.json", "--key-dir", file("keys"), "--advertise", "10.1.2.4:18001")
	await(t, "one with other keys to say so", func() bool { return strings.Contains(stranger.stderr.String(), "signs with other keys") })
	time.Sleep(1500 * time.Millisecond) // in which it must not announce itself, and nobody writes keys anew
	if now := trust(); now.Keys.Meta.Revision != first.Keys.Meta.Revision || len(now.Authorizers) != 2 {
		t.Errorf("published: %+v, were %+v", now, first)
	}
	for _, c := range []*command{stranger, one} {
		if code := c.interrupt(t); code != cli.ExitOK {
			t.Errorf("it ended with %d:\n%s", code, c.stderr.String())
		}
	}
	if left := trust().Authorizers; len(left) != 1 || left[0].Address != "10.1.2.3" || left[0].Port != 18001 {
		t.Errorf("announced are %+v", left)
	}
	if code := two.interrupt(t); code != cli.ExitOK {
		t.Errorf("it ended with %d:\n%s", code, two.stderr.String())
	}
	if now := trust(); len(now.Authorizers) != 0 || now.Keys == nil {
		t.Errorf("all have ended: %+v", now)
	}
}

func TestWhereSidecarsAskHasToBeKnown(t *testing.T) {
	dir := t.TempDir()
	for _, wrong := range []string{"0.0.0.0:18001", "[::]:18001", "authz.example:18001", "10.0.0.1", "10.0.0.1:0"} {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		var stderr logtest.Buffer
		args := append([]string{"server", "--listen", "127.0.0.1:0", "--xds-listen", "127.0.0.1:0", "--data-dir", filepath.Join(dir, "data"),
			"--authz-listen", "0.0.0.0:0", "--authz-advertise", wrong}, callerFiles(t, "authz-")...)
		if code := run(ctx, args, strings.NewReader(""), &stderr, &stderr); code != cli.ExitUsage || !strings.Contains(stderr.String(), "--advertise") {
			t.Errorf("%s: %d, %s", wrong, code, stderr.String())
		}
		cancel()
	}
}
