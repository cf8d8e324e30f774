package client_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/client"
)

// certified gives a certificate for 127.0.0.1, and itself as PEM.
func certified(t *testing.T) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	signed, err := x509.CreateCertificate(rand.Reader, of, of, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{signed}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})
}

// The root of the mesh is replaced while a client is in use: it is verified by the new one
// from the next call on, and by the last one while the file is not whole.
func TestTheRootsAreReplaced(t *testing.T) {
	before, oldRoots := certified(t)
	after, newRoots := certified(t)
	var shown atomic.Pointer[tls.Certificate]
	shown.Store(&before)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"name":"web"}`) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that are meant to fail
	server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{Certificates: []tls.Certificate{*shown.Load()}, NextProtos: []string{"h2", "http/1.1"}}, nil
	}}
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	file := filepath.Join(t.TempDir(), "ca.crt")
	write := func(data []byte) {
		t.Helper()
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(oldRoots)
	c, err := client.New(client.Config{Address: server.URL, RootsFile: file})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	call := func() error {
		_, err := c.Service(t.Context(), "web")
		return err
	}
	if err := call(); err != nil {
		t.Fatalf("by the first root: %v", err)
	}
	shown.Store(&after)
	server.CloseClientConnections() // as a server that starts anew
	write(newRoots)
	if err := call(); err != nil {
		t.Errorf("by the root that took its place: %v", err)
	}
	for what, data := range map[string]string{"empty": "", "cut off": string(newRoots[:40])} {
		write([]byte(data))
		if err := call(); err != nil {
			t.Errorf("with a file that is %s: %v", what, err)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := call(); err != nil {
		t.Errorf("without the file: %v", err)
	}
	write(oldRoots) // a connection that another root verified is not used again
	if err := call(); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("by a root that is not the server's: %v", err)
	}
}

func TestRootsThatCannotBeUsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.crt")
	if _, err := client.New(client.Config{Address: "https://127.0.0.1:1", RootsFile: file}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := client.New(client.Config{Address: "https://127.0.0.1:1", RootsFile: file}); err == nil || !strings.Contains(err.Error(), "no certificate in PEM form") {
		t.Errorf("a file without certificates: %v", err)
	}
}
