package translate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/translate"
)

// sidecar is a real Envoy with everything that its scope may see, on free ports.
type sidecar struct {
	*envoytest.Envoy
	scope translate.Scope
}

func startSidecar(t *testing.T, in *input, arguments ...string) *sidecar {
	t.Helper()
	if _, problems := translate.Build(in.view(), translate.ScopeOf(in.Proxy), in.trust()); len(problems) > 0 {
		t.Errorf("problems: %+v", problems)
	}
	return startWithProblems(t, in, arguments...)
}

func startWithProblems(t *testing.T, in *input, arguments ...string) *sidecar {
	t.Helper()
	in.check(t)
	scope := translate.ScopeOf(in.Proxy)
	resources, _ := translate.Build(in.view(), scope, in.trust())
	return &sidecar{envoytest.Start(t, onFreePorts(t, static(t, resources)), arguments...), scope}
}

// onFreePorts has every listener of a bootstrap take a port that is free.
func onFreePorts(t *testing.T, bootstrap []byte) []byte {
	t.Helper()
	var document map[string]any
	if err := json.Unmarshal(bootstrap, &document); err != nil {
		t.Fatal(err)
	}
	listeners, _ := document["staticResources"].(map[string]any)["listeners"].([]any)
	for _, one := range listeners {
		address := one.(map[string]any)["address"].(map[string]any)["socketAddress"].(map[string]any)
		address["address"], address["portValue"] = "127.0.0.1", 0
	}
	out, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (s *sidecar) outbound(t *testing.T) string {
	t.Helper()
	return s.Listener(t, "outbound."+s.scope.Name())
}
func (s *sidecar) inbound(t *testing.T) string {
	t.Helper()
	return s.Listener(t, "inbound."+s.scope.Name())
}
func (s *sidecar) own(t *testing.T, dependency string) string {
	t.Helper()
	return s.Listener(t, "own."+dependency+"."+s.scope.Name())
}

// answer is what came back for a request.
type answer struct {
	status int
	body   string
	header http.Header
}

// call makes one request for a host at an address, on a connection of its own.
func call(t *testing.T, address, host, path string, header http.Header) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	if header != nil {
		request.Header = header
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatalf("request for %s%s: %v", host, path, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, string(body), response.Header}
}

// echo is an application that tells its name and what it was asked.
func echo(t *testing.T, name string) (ip string, port mesh.Port) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveEcho(t, name, listener)
	return splitAddress(t, listener.Addr().String())
}

func serveEcho(t *testing.T, name string, listener net.Listener) {
	t.Helper()
	server := &httptest.Server{Listener: listener, Config: &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Seen-Request-Id", r.Header.Get("X-Request-Id"))
		fmt.Fprintf(w, "%s %s %s", name, r.Host, r.URL)
	})}}
	server.Start()
	t.Cleanup(server.Close)
}

func splitAddress(t *testing.T, address string) (ip string, port mesh.Port) {
	t.Helper()
	parsed, err := netip.ParseAddrPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Addr().String(), mesh.Port(parsed.Port())
}

// unused gives an address on which nothing listens.
func unused(t *testing.T) (ip string, port mesh.Port) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return splitAddress(t, listener.Addr().String())
}

func service(name mesh.ServiceName, p mesh.Protocol, dependencies ...mesh.ServiceName) mesh.Service {
	if dependencies == nil {
		dependencies = []mesh.ServiceName{}
	}
	return mesh.Service{Name: name, Owner: "test", Protocol: p, Port: 8080, Dependencies: dependencies}
}

func instanceAt(s mesh.ServiceName, id mesh.InstanceID, ip string, port mesh.Port) mesh.Instance {
	return mesh.Instance{ID: id, Service: s, Address: ip, Port: port}
}

func TestRefusalsNameWhatIsMissing(t *testing.T) {
	in := &input{
		Proxy:    mesh.Proxy{Service: "web", Instance: "web-1"},
		Services: []mesh.Service{service("web", mesh.HTTP, "orders", "ledger"), service("ledger", mesh.TCP)},
	}
	web := startSidecar(t, in)
	cases := map[string]struct {
		host, want, reason string
		status             int
	}{
		"undeclared":              {"reviews", `heddle: service "web" has not declared a dependency on "reviews"; declare it: add "reviews" to the dependencies of "web"`, "undeclared", 403},
		"undeclared, with a port": {"reviews:9080", `heddle: service "web" has not declared a dependency on "reviews"; declare it: add "reviews" to the dependencies of "web"`, "undeclared", 403},
		"undeclared, in full":     {"reviews.mesh.:9080", `heddle: service "web" has not declared a dependency on "reviews"; declare it: add "reviews" to the dependencies of "web"`, "undeclared", 403},
		"outside":                 {"API.example.com", `heddle: service "web" has not declared a dependency on "API.example.com"; declare it: add "API.example.com" to the dependencies of "web"`, "undeclared", 403},
		"an address":              {"[::1]:80", `heddle: service "web" has not declared a dependency on "[::1]"; declare it: add "[::1]" to the dependencies of "web"`, "undeclared", 403},
		"pending":                 {"orders.mesh:8080", `heddle: the dependency of "web" on "orders" is declared, but no service "orders" is declared yet`, "pending", 503},
		"tcp":                     {"ledger", `heddle: service "ledger" speaks tcp: connect to its own port on this sidecar (8080 unless the proxy has another) instead of asking for it by host name`, "tcp", 421},
	}
	t.Run("no host", func(t *testing.T) {
		c, err := net.DialTimeout("tcp", web.outbound(t), 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprint(c, "GET /x HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n")
		answer, err := io.ReadAll(c)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") || !strings.Contains(string(answer), `the request has no host: name a dependency of "web"`) {
			t.Errorf("%q %v", answer, err)
		}
	})
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := call(t, web.outbound(t), c.host, "/x", nil)
			if got.status != c.status || got.header.Get("X-Heddle-Reason") != c.reason || strings.TrimSpace(got.body) != c.want {
				t.Errorf("got %d %q: %s", got.status, got.header.Get("X-Heddle-Reason"), got.body)
			}
			if got.header.Get("Content-Type") != "text/plain; charset=utf-8" || got.header.Get("X-Request-Id") == "" {
				t.Errorf("headers %v", got.header)
			}
		})
	}
}
