package test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/identity"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// startBeside runs another server on a secure server's etcd, with its authority.
func startBeside(t *testing.T, s *server, arguments ...string) *server {
	t.Helper()
	files := identity.In(s.dataDir())
	beside := startSecure(t, append([]string{
		"--etcd-endpoints", "unix://" + filepath.Join(s.dataDir(), "etcd.sock"), "--ca-key", files.Key, "--ca-cert", files.Cert,
	}, arguments...)...)
	beside.token, beside.client = s.token, beside.newClient(s.token)
	return beside
}

// hold opens a stream and gives what it ended with, once it has.
func hold(t *testing.T, address, node, dir string) <-chan error {
	t.Helper()
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(showing(t, dir)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(connection).DeltaAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{
		Node: &corev3.Node{Id: node}, TypeUrl: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatalf("%s is not served: %v", node, err)
	}
	ended := make(chan error, 1)
	go func() {
		for {
			if _, err := stream.Recv(); err != nil {
				ended <- err
				return
			}
		}
	}()
	return ended
}

// as is a client of the REST API with the certificate in a folder.
func (s *server) as(dir string) *client.Client {
	s.t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "current", "cert.pem"), filepath.Join(dir, "current", "key.pem"))
	if err != nil {
		s.t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{ //nolint:gosec // of what the server verifies
		InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil },
	}}
	c, err := client.New(client.Config{Address: s.restTLS, HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// ended waits for a stream to end as one whose certificate is revoked.
func ended(t *testing.T, stream <-chan error, what string) {
	t.Helper()
	began := time.Now()
	select {
	case err := <-stream:
		if status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "revoked") {
			t.Errorf("the stream of %s ended with %v", what, err)
		}
		t.Logf("the stream of %s ended after %s", what, time.Since(began).Round(time.Millisecond))
	case <-time.After(10 * time.Second):
		t.Errorf("the stream of %s goes on", what)
	}
}

// TestCertificatesThatAreRevoked: whoever holds one is refused by every server of
// the mesh, and comes back only with a join token that was made afterwards.
func TestCertificatesThatAreRevoked(t *testing.T) {
	t.Parallel()
	path := heddle.Path(t)
	a := startSecure(t)
	b := startBeside(t, a)
	a.declare(service("web", mesh.HTTP), service("orders", mesh.HTTP))
	stolen := a.joined("web")
	match := regexp.MustCompile(`action=joined object=workload/([0-9a-f]{18}) author=spiffe://heddle.local/service/web`).FindStringSubmatch(a.Log.String())
	if match == nil {
		t.Fatalf("the audit log does not name the workload:\n%s", a.Log.String())
	}
	kept, orders := b.joined("web"), b.joined("orders")
	streams := map[string]<-chan error{"stolen at a": hold(t, a.xdsTLS, "web/1", stolen), "stolen at b": hold(t, b.xdsTLS, "web/1", stolen)}
	other, third := hold(t, b.xdsTLS, "web/2", kept), hold(t, a.xdsTLS, "orders/1", orders)
	command := func(arguments ...string) string {
		t.Helper()
		output, code := run(t, path, append(append([]string{"revocation"}, arguments...), "--server", a.rest, "--token", a.token)...)
		if code != 0 {
			t.Fatalf("heddle revocation %v ended with %d: %s", arguments, code, output)
		}
		return output
	}
	command("create", "workload/"+match[1])
	for what, stream := range streams {
		ended(t, stream, what)
	}
	csr := newCSR(t)
	refused := func(what, dir, node string) {
		t.Helper()
		for _, s := range []*server{a, b} {
			if err := openStream(t, s.xdsTLS, node, showing(t, dir)); status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "revoked") {
				t.Errorf("%s opens a stream: %v", what, err)
			}
			if got, err := s.as(dir).IssueIdentity(t.Context(), csr); mesh.KindOf(err) != mesh.KindDenied {
				t.Errorf("%s renews: %+v, %v", what, got, err)
			}
			one := mesh.Instance{Service: "web", ID: "w", Address: "127.0.0.1", Port: 80}
			if _, err := s.as(dir).Register(t.Context(), []mesh.Instance{one}, 0); mesh.KindOf(err) != mesh.KindDenied {
				t.Errorf("%s registers an instance: %v", what, err)
			}
		}
	}
	refused("a revoked workload", stolen, "web/1")
	select {
	case err := <-other:
		t.Fatalf("another workload's stream ended: %v", err)
	default:
	}
	if _, err := a.as(kept).IssueIdentity(t.Context(), csr); err != nil {
		t.Errorf("another workload cannot renew: %v", err)
	}

	// The whole service: with it go its join tokens.
	unused, _ := a.joinToken("web", time.Hour, 10)
	command("create", "service/web")
	ended(t, other, "the service")
	refused("a workload of a revoked service", kept, "web/2")
	if _, output, code := a.join("web", unused); code == 0 || !strings.Contains(output, "may have been revoked") {
		t.Errorf("a join token of before is good still: %d, %s", code, output)
	}
	select {
	case err := <-third:
		t.Fatalf("another service's stream ended: %v", err)
	default:
	}
	again := b.joined("web") // at once
	for _, s := range []*server{a, b} {
		if err := openStream(t, s.xdsTLS, "web/1", showing(t, again)); err != nil {
			t.Errorf("who joined afterwards: %v", err)
		}
		if _, err := s.as(again).IssueIdentity(t.Context(), csr); err != nil {
			t.Errorf("who joined afterwards cannot renew: %v", err)
		}
	}
	if output := command("list"); !strings.Contains(output, "service/web") || !strings.Contains(output, "workload/"+match[1]) {
		t.Errorf("the list is:\n%s", output)
	}
	b.Kill()
	b.restart()
	refused("after a restart, a workload of a revoked service", kept, "web/2")
	command("delete", "service/web")
	heddletest.Eventually(t, "the revocation to be taken back", func() error { return openStream(t, b.xdsTLS, "web/2", showing(t, kept)) })
	for _, want := range []string{`action=revoke object=identity/service/web`, `action=revoke object=workload/` + match[1], `action=stream object=workload/` + match[1] + ` author=service/web`, `action=unrevoke object=identity/service/web`} {
		if !strings.Contains(a.Log.String()+b.Log.String(), want) {
			t.Errorf("%q is in no log", want)
		}
	}
}

// TestAConnectionThatOutlivedItsCertificate is ended when the next stream is opened
// on it, so that its client comes again with the certificate that it has by then.
func TestAConnectionThatOutlivedItsCertificate(t *testing.T) {
	t.Parallel()
	s := startSecure(t, "--identity-lifetime", "10s")
	s.declare(service("web", mesh.HTTP))
	var dir atomic.Pointer[string]
	join := func() {
		now := s.joined("web")
		dir.Store(&now)
	}
	join()
	connection, err := grpc.NewClient(s.xdsTLS, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{ //nolint:gosec // of what the server verifies
		InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(filepath.Join(*dir.Load(), "current", "cert.pem"), filepath.Join(*dir.Load(), "current", "key.pem"))
			return &pair, err
		},
	})))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	opened := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(connection).DeltaAggregatedResources(ctx)
		if err != nil {
			return err
		}
		_ = stream.Send(&discoveryv3.DeltaDiscoveryRequest{Node: &corev3.Node{Id: "web/1"}, TypeUrl: "type.googleapis.com/envoy.config.cluster.v3.Cluster"}) // why it failed is what Recv says
		_, err = stream.Recv()
		return err
	}
	if err := opened(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(notAfter(t, *dir.Load())) + 100*time.Millisecond)
	join()
	if err := opened(); status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "expired at") {
		t.Errorf("on the connection of an expired certificate: %v", err)
	}
	heddletest.Eventually(t, "the client to come with its new certificate", func() error {
		err := opened()
		if status.Code(err) == codes.Unauthenticated && time.Until(notAfter(t, *dir.Load())) < time.Second {
			join()
		}
		return err
	})
}

func notAfter(t *testing.T, dir string) time.Time {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "current", "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	chain, err := identity.ParseCertificates(data)
	if err != nil {
		t.Fatal(err)
	}
	return chain[0].NotAfter
}

// TestARevokedSidecar goes on with what it has, and comes back by itself when a new
// join token is in its file.
func TestARevokedSidecar(t *testing.T) {
	t.Parallel()
	envoytest.Path(t)
	a := startSecure(t, "--identity-lifetime", "12s")
	b := startBeside(t, a, "--identity-lifetime", "12s")
	a.declare(service("orders", mesh.HTTP), service("web", mesh.HTTP, "orders"))
	orders := newSecureWorkload(t, a, "orders", "orders-1", app(t, says("orders here")))
	web := newSecureWorkload(t, a, "web", "web-1", "")
	for i, argument := range web.Arguments {
		if argument == "--xds" {
			web.Arguments[i+1] = b.xdsTLS // and renews with the other
		}
	}
	all := workloads{orders, web}
	t.Cleanup(all.leave)
	all.start(t)
	side := &sidecar{outbound: "127.0.0.1:" + web.argument("--outbound-port")}
	side.wants(t, "orders", "/", http.StatusOK, "orders here")
	if _, err := a.client.Revoke(t.Context(), "service/web"); err != nil {
		t.Fatal(err)
	}
	heddletest.Eventually(t, "the sidecar to be cut off", func() error {
		if !strings.Contains(b.Log.String(), `outcome=refused action=stream object=workload/`) {
			return fmt.Errorf("no stream was ended")
		}
		return nil
	})
	a.declare(service("reviews", mesh.HTTP), service("web", mesh.HTTP, "orders", "reviews"))
	side.wants(t, "orders", "/", http.StatusOK, "orders here")
	if got, err := side.call(t, "reviews", "/"); err != nil || got.status != http.StatusForbidden {
		t.Errorf("it is told of changes: %+v, %v", got, err)
	}
	fresh, _ := a.joinToken("web", 0, 1)
	data, err := os.ReadFile(fresh)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(web.argument("--join-token-file"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	side.wants(t, "reviews", "/", http.StatusServiceUnavailable, "no healthy upstream")
}

// newCSR makes a certificate request for a key that is forgotten.
func newCSR(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}
