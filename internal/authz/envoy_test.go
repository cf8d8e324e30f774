package authz

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/heddle-mesh/heddle/internal/envoytest"
)

// sidecarBootstrap is the Envoy of web, or of whom identity says: routes by path to
// orders and to ledger, and one to orders for users, all answered by one application,
// and ext_authz with its certificate.
func sidecarBootstrap(t *testing.T, identity, listen, authorizer, application string, a *authority) []byte {
	t.Helper()
	endpoint := func(name, address string) string {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(`"name": %q, "type": "STATIC", "connect_timeout": "1s", "load_assignment": {"cluster_name": %q, "endpoints": [{"lb_endpoints": [
			{"endpoint": {"address": {"socket_address": {"address": %q, "port_value": %s}}}}]}]}`, name, name, host, port)
	}
	route := func(prefix, extensions string) string {
		return fmt.Sprintf(`{"match": {"prefix": %q}, "route": {"cluster": "application"}, "typed_per_filter_config": {"envoy.filters.http.ext_authz": {
			"@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
			"check_settings": {"context_extensions": %s}}}}`, prefix, extensions)
	}
	certificate := a.issue(t, "spiffe://mesh.test/"+identity)
	der, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	quoted := func(kind string, data []byte) string {
		text, _ := json.Marshal(string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data})))
		return string(text)
	}
	return fmt.Appendf(nil, `{"static_resources": {
	"listeners": [{"name": "out", "address": {"socket_address": {"address": "127.0.0.1", "port_value": %s}}, "filter_chains": [{"filters": [{
		"name": "envoy.filters.network.http_connection_manager", "typed_config": {
			"@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
			"stat_prefix": "out", "http_filters": [
				{"name": "envoy.filters.http.ext_authz", "typed_config": {
					"@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz", "transport_api_version": "V3",
					"status_on_error": {"code": "ServiceUnavailable"},
					"grpc_service": {"envoy_grpc": {"cluster_name": "authz"}, "timeout": "5s"}}},
				{"name": "envoy.filters.http.router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
			"route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [%s, %s, %s, {"match": {"prefix": "/"}, "route": {"cluster": "application"}}]}]}}}]}]}],
	"clusters": [{%s}, {%s,
		"typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
			"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": {"http2_protocol_options": {}}}},
		"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": {
			"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", "common_tls_context": {
				"tls_certificates": [{"certificate_chain": {"inline_string": %s}, "private_key": {"inline_string": %s}}],
				"validation_context": {"trusted_ca": {"inline_string": %s}}}}}}]}}`,
		listen, route("/orders", `{"callee": "orders"}`), route("/ledger", `{"callee": "ledger"}`), route("/users", `{"callee": "orders", "provider": "staff", "audience": "tag"}`), endpoint("application", application), endpoint("authz", authorizer),
		quoted("CERTIFICATE", certificate.Certificate[0]), quoted("PRIVATE KEY", der), quoted("CERTIFICATE", a.certificate.Raw))
}

// A real Envoy: the token takes the place of what the application sent, a refusal
// says why, and nothing passes without an answer.
func TestARealSidecarAsks(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	got := make(chan []string, 1)
	application := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header.Values(TokenHeader) }))
	defer application.Close()

	issuer := runIssuer(t, IssuerConfig{})
	s, err := NewService(ServiceConfig{Issuer: issuer, Edges: webCallsOrders, TrustDomain: testDomain})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	cfg := &tls.Config{Certificates: []tls.Certificate{a.issue(t, "spiffe://mesh.test/heddle/server")}, ClientCAs: a.pool(), MinVersion: tls.VersionTLS12}
	server := grpc.NewServer(append(ServerOptions(), grpc.Creds(Credentials(func() (*tls.Config, error) { return cfg, nil }, testDomain, nil)))...)
	s.Register(server)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	defer func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	defer server.Stop()

	port := freePort(t)
	envoytest.Start(t, sidecarBootstrap(t, "service/web", port, listener.Addr().String(), strings.TrimPrefix(application.URL, "http://"), a))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	call := func(path string, tokens ...string) (int, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+port+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header[http.CanonicalHeaderKey(TokenHeader)] = tokens
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		return response.StatusCode, string(body)
	}
	for _, brought := range [][]string{nil, {"forged"}, {"forged", "twice"}} {
		code, body := call("/orders", brought...)
		if code != http.StatusOK {
			t.Fatalf("the call is answered with %d: %s", code, body)
		}
		if tokens := <-got; len(tokens) != 1 {
			t.Errorf("the callee gets %q", tokens)
		} else {
			checked(t, issuer, &Token{Raw: tokens[0], Expires: issuer.cfg.Now().Add(DefaultTokenLife)}, pairOf("web", "orders"))
		}
	}
	if code, body := call("/ledger", "forged"); code != http.StatusForbidden || !strings.Contains(body, "ledger") || !strings.Contains(body, "heddle apply") {
		t.Errorf("an undeclared call is answered with %d: %s", code, body)
	}
	if code, body := call("/"); code != http.StatusForbidden || !strings.Contains(body, string(NoCallee)) {
		t.Errorf("a route without a callee is answered with %d: %s", code, body)
	}
	server.Stop()
	if code, _ := call("/orders"); code != http.StatusServiceUnavailable {
		t.Errorf("without the AuthZ service a call is answered with %d", code)
	}
	select {
	case tokens := <-got:
		t.Errorf("a refused call reached the callee with %q", tokens)
	default:
	}
}
