package machines_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// serve serves at an address of the hub until the test ends.
func serve(t *testing.T, address string, certificates []tls.Certificate, handler http.HandlerFunc) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if certificates != nil {
		listener = tls.NewListener(listener, &tls.Config{Certificates: certificates, MinVersion: tls.VersionTLS12})
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
}

// vault is Azure's service of instance metadata, which gives managed identities their
// tokens, and a Key Vault that takes these.
type vault struct {
	mu      sync.Mutex
	secrets map[string]string
	away    bool
	late    string // this one is not there when it is asked for first
}

const accessToken = "eyJ0eXAi.of.a-managed-identity"

// newVault starts both, and gives the file with the authority of the Key Vault's certificate.
func newVault(t *testing.T) (v *vault, authority string) {
	t.Helper()
	v = &vault{secrets: map[string]string{}}
	certificate, file := certify(t, "mesh.vault.azure.net")
	serve(t, "169.254.169.254:80", nil, func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		if r.Header.Get("Metadata") != "true" || query.Get("resource") != "https://vault.azure.net" || query.Get("client_id") != clientID {
			http.Error(w, `{"error":"invalid_request"}`, http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"access_token": accessToken, "token_type": "Bearer", "expires_in": "86400"})
	})
	serve(t, "10.77.0.1:443", []tls.Certificate{certificate}, v.answer)
	return v, file
}

func (v *vault) answer(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	secret, is := v.secrets[r.URL.Path]
	switch {
	case v.away:
		http.Error(w, "{}", http.StatusServiceUnavailable)
	case r.Header.Get("Authorization") != "Bearer "+accessToken || r.URL.Query().Get("api-version") == "":
		http.Error(w, "{}", http.StatusUnauthorized)
	case !is, v.late == r.URL.Path:
		v.late = ""
		http.Error(w, `{"error":{"code":"SecretNotFound"}}`, http.StatusNotFound)
	default:
		_ = json.NewEncoder(w).Encode(map[string]any{"value": secret, "id": "https://mesh.vault.azure.net" + r.URL.Path + "/1", "attributes": map[string]any{"enabled": true}})
	}
}

func (v *vault) set(change func(*vault)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change(v)
}

// certify makes a certificate that is its own authority.
func certify(t *testing.T, names ...string) (certificate tls.Certificate, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "authority.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// files is a server that gives programs, and at first what is wrong.
type files struct {
	mu       sync.Mutex
	programs map[string]string
	asked    map[string]int
	faulty   string // this one is given wrong at first
}

func (f *files) answer(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.asked[r.URL.Path]++
	asked, file := f.asked[r.URL.Path], f.programs[r.URL.Path]
	f.mu.Unlock()
	if r.URL.Path == f.faulty {
		switch asked {
		case 1:
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		case 2: // cut off
			w.Header().Set("Content-Length", "1000000")
			_, _ = w.Write(make([]byte, 1000))
			return
		case 3: // another file
			_, _ = w.Write([]byte("#!/bin/sh\nrm -rf /nothing\n"))
			return
		}
	}
	http.ServeFile(w, r, file)
}

func (f *files) count(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[path]
}
