package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// companyCA writes ca.pem and, for each name, its .pem and .key, to a folder.
func companyCA(t *testing.T, leaves map[string]*x509.Certificate) (dir string) {
	t.Helper()
	dir = t.TempDir()
	write := func(name, kind string, der []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	make := func(template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*ecdsa.PrivateKey, []byte) {
		t.Helper()
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		if signer == nil {
			parent, signer = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
		if err != nil {
			t.Fatal(err)
		}
		return key, der
	}
	root := &x509.Certificate{Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	rootKey, der := make(root, nil, nil)
	write("ca.pem", "CERTIFICATE", der)
	for name, template := range leaves {
		template.KeyUsage = x509.KeyUsageDigitalSignature
		key, der := make(template, root, rootKey)
		write(name+".pem", "CERTIFICATE", der)
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		write(name+".key", "PRIVATE KEY", private)
	}
	return dir
}

// object is a part of Envoy's configuration.
type object = map[string]any

func typed(name string, fields object) object {
	fields["@type"] = "type.googleapis.com/envoy." + name
	return fields
}

// likeContour is the Envoy that Contour makes of an HTTPProxy and an
// ExtensionService: every service is backend, and callers is the folder of Envoy's
// client certificate. Route contexts are merged into the virtual host's, field by
// field; a redirect has none, whatever they say.
func likeContour(t *testing.T, proxy, extension manifest, listen, authorizer, backend, callers string) []byte {
	t.Helper()
	endpoint := func(name, address string) object {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		return object{"name": name, "type": "STATIC", "load_assignment": object{"cluster_name": name, "endpoints": []any{object{"lb_endpoints": []any{
			object{"endpoint": object{"address": object{"socket_address": object{"address": host, "port_value": json.Number(port)}}}},
		}}}}}
	}
	const filter, perRoute = "envoy.filters.http.ext_authz", "extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute"
	name := "extension/" + extension["metadata.namespace"] + "/" + extension["metadata.name"]
	host := "spec.virtualhost.authorization.authPolicy.context."
	routes := []any{object{"match": object{"prefix": "/moved"}, "redirect": object{"path_redirect": "/"}}}
	for i := range proxy.list("spec.routes", ".services.0.name") {
		at := fmt.Sprintf("spec.routes.%d.", i)
		authorization := object{"disabled": true}
		if proxy[at+"authPolicy.disabled"] != "true" {
			context := object{}
			for _, from := range []string{host, at + "authPolicy.context."} {
				for path, value := range proxy {
					if key, is := strings.CutPrefix(path, from); is {
						context[key] = value
					}
				}
			}
			authorization = object{"check_settings": object{"context_extensions": context}}
		}
		one := object{
			"match": object{"path_separated_prefix": proxy[at+"conditions.0.prefix"]}, "route": object{"cluster": "backend"},
			"typed_per_filter_config": object{filter: typed(perRoute, authorization)}, "request_headers_to_remove": proxy.list(at+"requestHeadersPolicy.remove", ""),
		}
		if proxy[at+"conditions.0.prefix"] == "/" {
			one["match"] = object{"prefix": "/"}
			routes = append(routes, one)
		} else {
			routes = append([]any{one}, routes...)
		}
	}
	cluster := endpoint(name, authorizer)
	cluster["typed_extension_protocol_options"] = object{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed("extensions.upstreams.http.v3.HttpProtocolOptions", object{
		"explicit_http_config": object{"http2_protocol_options": object{}},
	})}
	pemFile := func(name string) object { return object{"filename": filepath.Join(callers, name)} }
	cluster["transport_socket"] = object{"name": "envoy.transport_sockets.tls", "typed_config": typed("extensions.transport_sockets.tls.v3.UpstreamTlsContext", object{
		"sni": extension["spec.validation.subjectName"],
		"common_tls_context": object{
			"alpn_protocols":   []string{extension["spec.protocol"]},
			"tls_certificates": []any{object{"certificate_chain": pemFile("contour.pem"), "private_key": pemFile("contour.key")}},
			"validation_context": object{"trusted_ca": pemFile("ca.pem"), "match_typed_subject_alt_names": []any{
				object{"san_type": "DNS", "matcher": object{"exact": extension["spec.validation.subjectName"]}},
			}},
		},
	})}
	bootstrap, err := json.Marshal(object{"static_resources": object{
		"clusters": []any{endpoint("backend", backend), cluster},
		"listeners": []any{object{"name": "ingress", "address": object{"socket_address": object{"address": "127.0.0.1", "port_value": json.Number(portOf(listen))}}, "filter_chains": []any{object{"filters": []any{
			object{"name": "envoy.filters.network.http_connection_manager", "typed_config": typed("extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", object{
				"stat_prefix": "ingress", "normalize_path": true, "merge_slashes": true,
				"http_filters": []any{
					object{"name": filter, "typed_config": typed("extensions.filters.http.ext_authz.v3.ExtAuthz", object{
						"clear_route_cache": true, "status_on_error": object{"code": "Forbidden"}, "transport_api_version": "V3", "include_peer_certificate": true,
						"grpc_service": object{"envoy_grpc": object{"cluster_name": name, "authority": strings.ReplaceAll(name, "/", ".")}, "timeout": proxy["spec.virtualhost.authorization.responseTimeout"]},
					})},
					object{"name": "envoy.filters.http.router", "typed_config": typed("extensions.filters.http.router.v3.Router", object{})},
				},
				"route_config": object{"virtual_hosts": []any{object{"name": "shop", "domains": []string{proxy["spec.virtualhost.fqdn"]}, "routes": routes}}},
			})},
		}}}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return bootstrap
}

// contourRequest is a request through Contour's Envoy, and what becomes of it.
type contourRequest struct {
	path         string
	with         func(*http.Request)
	status       int
	reason       string
	callee, user string // of the token; "" none
}

// TestBehindContour runs the manifests of deploy/contour, as Contour would have a
// real Envoy configured, before a real AuthZ service.
func TestBehindContour(t *testing.T) {
	t.Parallel()
	behindContour(t, readManifests(t), func(staff, partner, other func(*http.Request)) []contourRequest {
		return []contourRequest{
			{"/", partner, 401, "no_token", "", ""},
			{"/api/x", partner, 200, "", "orders", "bo-1"},
			{"/api", staff, 401, "no_token", "", ""},
			{"/public/../api", staff, 401, "no_token", "", ""},
		}
	})
}

// TestContourCloudflareOverlay does so with what the overlay makes of them: Cloudflare's
// people alone, for the API too.
func TestContourCloudflareOverlay(t *testing.T) {
	t.Parallel()
	behindContour(t, overlayManifests(t), func(staff, partner, other func(*http.Request)) []contourRequest {
		return []contourRequest{
			{"/", partner, 401, "no_token", "", ""},
			{"/api/x", staff, 200, "", "orders", "ada-1"},
			{"/api/x", partner, 401, "no_token", "", ""},
			{"/api/x", other, 401, "wrong_audience", "", ""},
			{"/public/../api", staff, 200, "", "orders", "ada-1"},
		}
	})
}

func behindContour(t *testing.T, all map[string]manifest, more func(staff, partner, other func(*http.Request)) []contourRequest) {
	t.Helper()
	envoytest.Path(t)
	proxy, extension := all["HTTPProxy/shop"], all["ExtensionService/heddle-authz"]
	spiffe, err := url.Parse(all["Certificate/heddle-gateway"]["spec.uris.0"])
	if err != nil {
		t.Fatal(err)
	}
	ca := companyCA(t, map[string]*x509.Certificate{
		"authz":   {DNSNames: []string{extension["spec.validation.subjectName"]}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}},
		"contour": {URIs: []*url.URL{spiffe}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
	})
	users := startIssuer(t)
	s := startServer(t, "--authz-listen", "127.0.0.1:0", "--authz-http-listen", "127.0.0.1:0", "--authz-edge-config", users.config,
		"--authz-cert-file", filepath.Join(ca, "authz.pem"), "--authz-cert-key-file", filepath.Join(ca, "authz.key"), "--authz-client-ca-file", filepath.Join(ca, "ca.pem"))
	data, err := os.ReadFile(s.Ready)
	if err != nil {
		t.Fatal(err)
	}
	var at struct{ Authz, Keys string }
	if err := json.Unmarshal(data, &at); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"shop", "orders", "status"} {
		s.declare(service(name, mesh.HTTP))
	}
	path := heddle.Path(t)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(s.token), 0o600); err != nil {
		t.Fatal(err)
	}
	if output, code := run(t, path, "apply", "--server", s.rest, "--token-file", token, "-f", "../deploy/contour/routes.yaml"); code != 0 {
		t.Fatalf("apply ended with %d: %s", code, output)
	}
	got := make(chan http.Header, 1)
	backend := app(t, func(_ http.ResponseWriter, r *http.Request) { got <- r.Header })
	listen := heddletest.Loopback(heddletest.FreePort(t))
	envoytest.Start(t, likeContour(t, proxy, extension, listen, at.Authz, backend, ca))

	const forged = "forged"
	staff, partner := bring("Cf-Access-Jwt-Assertion", users.staff(t, nil)), bring("Authorization", "Bearer "+users.partner(t, nil))
	other := bring("Cf-Access-Jwt-Assertion", users.staff(t, map[string]any{"aud": []string{otherTag}}))
	for _, one := range append(more(staff, partner, other), []contourRequest{
		{"/", staff, 200, "", "shop", "ada-1"},
		{"/", other, 401, "wrong_audience", "", ""},
		{"/", bring("Cookie", "a=b; CF_Authorization="+users.staff(t, nil)), 200, "", "shop", "ada-1"},
		{"/apix", staff, 200, "", "shop", "ada-1"},
		{"/status", bring("X-Other", "1"), 200, "", "status", ""},
		{"/public", bring("X-Other", "1"), 200, "", "", ""},
		{"/moved", staff, 403, "not_routed", "", ""},
	}...) {
		var answered answer
		heddletest.Eventually(t, one.path, func() (err error) {
			answered, err = ask(t, listen, proxy["spec.virtualhost.fqdn"], one.path, one.with, bring("X-Heddle-Token", forged))
			if err == nil && answered.status == http.StatusForbidden && one.status != http.StatusForbidden {
				err = fmt.Errorf("%s", answered.body) // the AuthZ service does not know the mesh yet
			}
			return err
		})
		if answered.status != one.status || answered.header.Get("X-Heddle-Reason") != one.reason || (one.status == 401) != (answered.header.Get("WWW-Authenticate") != "") {
			t.Errorf("%s is answered %d %v %s", one.path, answered.status, answered.header, answered.body)
		}
		if strings.Contains(answered.body, "orders") || strings.Contains(answered.body, "contour") {
			t.Errorf("%s tells a stranger of the mesh: %s", one.path, answered.body)
		}
		if one.status != http.StatusOK {
			continue
		}
		header := <-got
		if header.Get("Cf-Access-Jwt-Assertion") != "" || header.Get("Authorization") != "" || strings.Contains(header.Get("Cookie"), "CF_") {
			t.Errorf("%s: the user's token goes on: %v", one.path, header)
		}
		if one.callee == "" {
			if header.Values("X-Heddle-Token") != nil {
				t.Errorf("%s: a stranger's token goes on: %v", one.path, header)
			}
			continue
		}
		claims := readToken(t, at.Keys, header.Get("X-Heddle-Token"))
		if claims.Subject != spiffe.String() || claims.User.Subject != one.user || fmt.Sprint(claims.Audience) != "[spiffe://heddle.local/service/"+one.callee+"]" {
			t.Errorf("%s: the token says %+v", one.path, claims)
		}
	}
	s.Kill()
	if answered, err := ask(t, listen, proxy["spec.virtualhost.fqdn"], "/", staff); err != nil || answered.status != http.StatusForbidden {
		t.Errorf("without the AuthZ service: %+v, %v", answered, err) // Contour's status, not Heddle's 503
	}
	if answered, err := ask(t, listen, proxy["spec.virtualhost.fqdn"], "/public"); err != nil || answered.status != http.StatusOK {
		t.Errorf("where it is not asked, without it: %+v, %v", answered, err)
	}
}
