package translate_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// edge is a gateway that listens for plain HTTP alone.
func edge() mesh.Proxy {
	return mesh.Proxy{Service: "edge", Instance: "edge-1", Profile: mesh.GatewayProfile, Gateway: &mesh.GatewayProxy{HTTPPort: 8080}}
}

func route(name mesh.RouteName, host string, services ...mesh.ServiceName) mesh.Route {
	r := mesh.Route{Name: name, Owner: "test", Hosts: []string{host}}
	for _, one := range services {
		r.Backends = append(r.Backends, mesh.WeightedBackend{Service: one, Weight: 1})
	}
	return r
}

func under(prefix string, r mesh.Route) mesh.Route {
	r.Name += "-" + mesh.RouteName(strings.Trim(prefix, "/"))
	r.Match.Path = &mesh.PathMatch{Prefix: prefix}
	return r
}

// startEdge runs a gateway before services, each with one instance that echoes.
func startEdge(t *testing.T, in *input, services ...mesh.ServiceName) (at string) {
	t.Helper()
	return behindEdge(t, startSidecar, in, services...)
}

func startEdgeWithProblems(t *testing.T, in *input, services ...mesh.ServiceName) (at string) {
	t.Helper()
	return behindEdge(t, startWithProblems, in, services...)
}

func behindEdge(t *testing.T, start func(*testing.T, *input, ...string) *sidecar, in *input, services ...mesh.ServiceName) (at string) {
	t.Helper()
	if in.Proxy.Service == "" {
		in.Proxy = edge()
	}
	for _, name := range services {
		ip, port := echo(t, string(name))
		if !slices.ContainsFunc(in.Services, func(s mesh.Service) bool { return s.Name == name }) {
			in.Services = append(in.Services, service(name, mesh.HTTP))
		}
		in.Instances = append(in.Instances, instanceAt(name, "1", ip, port))
	}
	g := start(t, in)
	return g.Listener(t, "http."+g.scope.Name())
}

// raw sends a request as it stands and gives the status line and the rest.
func raw(t *testing.T, address, request string) (status int, header http.Header, body string) {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("%.100q: %v", request, err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, response.Header, string(text)
}

// However a path is written, it meets the rule for what the application would
// read it as, or is refused.
func TestPathTricksDoNotGetPastARule(t *testing.T) {
	at := startEdge(t, &input{Routes: []mesh.Route{
		route("open", "x.example", "open"), under("/admin", route("shut", "x.example", "shut")),
	}}, "open", "shut")
	for path, want := range map[string]string{
		"/":                              "200 open",
		"/admin":                         "200 shut",
		"/admin/x":                       "200 shut",
		"/administrator":                 "200 open",
		"/open/../admin":                 "200 shut",
		"/open/%2e%2e/admin":             "200 shut",
		"/open/%2E%2e/%61dmin":           "200 shut",
		"/open/.%2e/admin":               "200 shut",
		"//admin":                        "200 shut",
		"/.//admin//x":                   "200 shut",
		"/open//..//admin":               "200 open", // which is told /open/admin
		"/./admin":                       "200 shut",
		"/%61dmin":                       "200 shut",
		"/%2f%2fevil.example/":           "307 /evil.example/",
		"/%5c%5cevil.example/":           "307 /evil.example/",
		"/%2fadmin":                      "307 /admin",
		"/open%2F..%2fadmin":             "307 /admin",
		"/open%5c..%5Cadmin":             "307 /admin",
		`/open\..\admin`:                 "200 shut",
		"/open;/../admin":                "200 shut", // the plain form first
		"/admin;x":                       "400 path",
		"/open/..;/admin":                "200 shut",
		"/open/%2e%2e;x=1/admin":         "400 path",
		"/admin%3bx":                     "400 path",
		"/admin%3Bx/y":                   "400 path",
		"/?a;b":                          "200 open",
		"/open/../../../admin":           "200 shut",
		"/open%00/../admin":              "400 ",
		"/admin#x":                       "400 ",
		"/%252e%252e/admin":              "200 open", // decoded once, it is a name
		"/open/%252e%252e%252fadmin":     "200 open",
		"http://x.example/open/../admin": "200 shut",
		"*":                              "400 ",
	} {
		status, header, body := raw(t, at, "GET "+path+" HTTP/1.1\r\nHost: x.example\r\n\r\n")
		got := fmt.Sprintf("%d %s", status, header.Get("X-Heddle-Reason"))
		switch status {
		case 200:
			name, _, _ := strings.Cut(body, " ")
			got = "200 " + name
		case 307:
			got = "307 " + header.Get("Location")
			got = strings.Replace(got, "http://x.example", "", 1)
		}
		if got != want {
			t.Errorf("%s: got %s (%.80q), want %s", path, got, body, want)
		}
	}
}

func TestLargeHeadersAreBounded(t *testing.T) {
	at := startEdge(t, &input{Routes: []mesh.Route{route("open", "x.example", "open")}}, "open")
	request := func(kib int) string {
		return "GET / HTTP/1.1\r\nHost: x.example\r\nX-Large: " + strings.Repeat("a", kib<<10) + "\r\n\r\n"
	}
	if status, _, body := raw(t, at, request(55)); status != 200 {
		t.Errorf("55 KiB: %d %s", status, body)
	}
	if status, _, body := raw(t, at, request(60)); status != 431 {
		t.Errorf("60 KiB: %d %s", status, body)
	}
	var many strings.Builder
	for i := range 200 {
		fmt.Fprintf(&many, "X-%d: 1\r\n", i)
	}
	if status, _, body := raw(t, at, "GET / HTTP/1.1\r\nHost: x.example\r\n"+many.String()+"\r\n"); status != 431 {
		t.Errorf("200 headers: %d %s", status, body)
	}
	if status, _, _ := raw(t, at, "GET / HTTP/1.1\r\nHost: x.example\r\nX_User: forged\r\n\r\n"); status != 400 {
		t.Errorf("a header with an underscore: %d", status)
	}
}

// What applications and sidecars believe cannot be said from outside.
func TestForgedHeadersAreStripped(t *testing.T) {
	ip, port := application(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "leaky/1.0")
		for name, values := range r.Header {
			fmt.Fprintf(w, "%s: %s\n", strings.ToLower(name), strings.Join(values, ","))
		}
	})
	forged := func() http.Header {
		header := http.Header{"X-Request-Id": {"mine"}, "X-Ordinary": {"stays"}, "Authorization": {"stays"}}
		for _, name := range []string{
			"X-Heddle-Token", "X-Heddle-Reason", "X-Heddle-Anything", "X-Envoy-Internal", "X-Envoy-Upstream-Rq-Timeout-Ms", "X-Envoy-Original-Path",
			"X-Envoy-External-Address", "X-Forwarded-Client-Cert", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Real-Ip", "Forwarded", "X-Original-Url", "X-Rewrite-Url", "X-Http-Method-Override", "X-Http-Method", "X-Method-Override",
		} {
			header.Set(name, "forged")
		}
		header.Set("X-Forwarded-For", "203.0.113.7")
		header.Set("X-Forwarded-Proto", "https")
		return header
	}
	for hops, proto := range map[int]string{0: "http", 1: "https"} {
		in := &input{Proxy: edge(), Services: []mesh.Service{service("open", mesh.HTTP)}, Instances: []mesh.Instance{instanceAt("open", "1", ip, port)}, Routes: []mesh.Route{route("open", "x.example", "open")}}
		in.Proxy.Gateway.TrustedHops = hops
		got := call(t, startEdge(t, in), "x.example", "/", forged())
		if hops == 0 && strings.Contains(got.body, "forged") || strings.Contains(got.body, "x-heddle") || strings.Contains(got.body, "x-forwarded-client-cert") {
			t.Errorf("%d hops: the application was told:\n%s", hops, got.body)
		}
		if !strings.Contains(got.body, "x-ordinary: stays") || !strings.Contains(got.body, "authorization: stays") || strings.Contains(got.body, "x-request-id: mine") {
			t.Errorf("%d hops: the application was told:\n%s", hops, got.body)
		}
		// The true address stands behind the forged one.
		if !strings.Contains(got.body, "x-forwarded-for: 203.0.113.7,") || !strings.Contains(got.body, "x-forwarded-proto: "+proto+"\n") {
			t.Errorf("%d hops: want %s; the application was told:\n%s", hops, proto, got.body)
		}
		if got.header.Get("Server") != "heddle" || got.header.Get("X-Envoy-Upstream-Service-Time") != "" {
			t.Errorf("the client was told %v", got.header)
		}
	}
}

// A request that has been here before goes in circles.
func TestLoopsAreCut(t *testing.T) {
	at := startEdge(t, &input{Routes: []mesh.Route{route("open", "x.example", "open")}}, "open")
	if got := call(t, at, "x.example", "/", http.Header{"Cdn-Loop": {"other.example"}}); got.status != 200 {
		t.Errorf("another's mark: %d %s", got.status, got.body)
	}
	if got := call(t, at, "x.example", "/", http.Header{"Cdn-Loop": {"other.example, edge.gateway.heddle"}}); got.status != 502 {
		t.Errorf("its own mark: %d %s", got.status, got.body)
	}
}

func TestARateLimitIsOfItsRouteAlone(t *testing.T) {
	limited := under("/limited", route("open", "x.example", "open"))
	limited.RateLimit = &mesh.RateLimit{Requests: 3, Per: mesh.Duration(time.Hour)}
	at := startEdge(t, &input{Routes: []mesh.Route{route("open", "x.example", "open"), limited}}, "open")
	for i := range 6 {
		got := call(t, at, "x.example", "/limited", nil)
		if want := 200; i < 3 && got.status != want {
			t.Errorf("request %d: %d %s", i, got.status, got.body)
		}
		if i >= 3 && (got.status != 429 || got.header.Get("X-Heddle-Reason") != "rate-limited" || !strings.Contains(got.body, "too many requests")) {
			t.Errorf("request %d: %d %v %s", i, got.status, got.header, got.body)
		}
		if other := call(t, at, "x.example", "/", nil); other.status != 200 {
			t.Errorf("the other route: %d %s", other.status, other.body)
		}
	}
}

// One that begins a request and does not go on is not waited for.
func TestSlowHeadersAreCutOff(t *testing.T) {
	if testing.Short() {
		t.Skip("-short leaves out the 10 seconds that headers may take")
	}
	t.Parallel()
	at := startEdge(t, &input{Routes: []mesh.Route{route("open", "x.example", "open")}}, "open")
	if status, _, body := raw(t, at, "GET / HTTP/1.1\r\nHost: x.example\r\n"); status != 408 {
		t.Errorf("%d %s", status, body)
	}
}

// A route that wants a user is not served by a gateway that cannot ask who it is.
func TestAuthIsNotPassedOver(t *testing.T) {
	closed := route("shut", "x.example", "shut")
	closed.Auth = &mesh.RouteAuth{Provider: "staff"}
	moved := mesh.Route{Name: "moved", Owner: "test", Hosts: []string{"y.example"}, Redirect: &mesh.Redirect{Path: "/new"}, Auth: closed.Auth,
		Match: mesh.RequestMatch{Path: &mesh.PathMatch{Exact: "/old"}}}
	at := startEdgeWithProblems(t, &input{Routes: []mesh.Route{closed, moved}}, "shut")
	for host, path := range map[string]string{"x.example": "/", "y.example": "/old"} {
		if status, _, body := raw(t, at, "GET "+path+" HTTP/1.1\r\nHost: "+host+"\r\nCf-Access-Jwt-Assertion: x\r\nConnection: close\r\n\r\n"); status != http.StatusServiceUnavailable || strings.Contains(body, "staff") {
			t.Errorf("%s is answered %d: %s", host, status, body)
		}
	}
}
