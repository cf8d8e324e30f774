package insight_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/translate"
)

func explained(changes ...mesh.Change) insight.Mesh {
	c := catalog.New(catalog.Config{})
	for n := range changes {
		if s := changes[n].Service; s != nil {
			s.Meta.Revision = int64(n + 1)
		}
	}
	c.Apply(1, true, changes)
	return insight.Mesh{View: c.View()}
}

// connected are these proxies, which are asked for by their services.
func connected(all ...insight.Proxy) func(mesh.ServiceName) []insight.Proxy {
	return func(of mesh.ServiceName) []insight.Proxy {
		return slices.DeleteFunc(slices.Clone(all), func(p insight.Proxy) bool { return of != "" && p.Scope.Service != of })
	}
}

func has(name string, change func(*mesh.Service), dependencies ...mesh.ServiceName) mesh.Change {
	s := &mesh.Service{Name: mesh.ServiceName(name), Owner: "team", Protocol: mesh.HTTP, Port: 80, Dependencies: append([]mesh.ServiceName{}, dependencies...)}
	if change != nil {
		change(s)
	}
	return mesh.Change{Service: s}
}

func runs(service string, health mesh.Health) mesh.Change {
	return mesh.Change{Instance: &mesh.Instance{ID: "1", Service: mesh.ServiceName(service), Address: "127.0.0.1", Port: 8080, Health: health, MTLS: true}}
}

var identities = translate.Trust{Domain: "heddle.local", Roots: []byte("roots")} //nolint:gochecknoglobals // never changed

func explain(t *testing.T, m insight.Mesh, q insight.Question) mesh.Explanation {
	t.Helper()
	got, err := insight.Explain(m, q)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestExplainNamesWhatStopsACall(t *testing.T) {
	approved := func(s *mesh.Service) { s.Access.Callers = mesh.ApprovedCallers }
	tokens := mesh.Change{TokenKeys: &mesh.TokenKeys{Issuer: "https://heddle.local", JWKS: []byte(`{}`)}}
	authorizer := mesh.Change{Authorizer: &mesh.Authorizer{ID: "a", Address: "127.0.0.1", Port: 1}}
	for name, c := range map[string]struct {
		mesh    []mesh.Change
		trust   translate.Trust
		ask     mesh.ExplainedRequest
		from    string
		stopped string // ID of the step
		status  int
		reason  string
		says    string // in the summary
		warns   string // in a step
	}{
		"in order":         {mesh: []mesh.Change{has("web", nil, "orders"), has("orders", nil), runs("orders", "")}, says: "web may call orders"},
		"no caller":        {mesh: []mesh.Change{has("weba", nil, "orders"), has("orders", nil)}, stopped: "caller", says: `Did you mean "weba"?`},
		"no callee":        {mesh: []mesh.Change{has("web", nil, "orders"), has("order", nil)}, stopped: "callee", status: 503, reason: "pending", says: `Did you mean "order"?`},
		"nor declared":     {mesh: []mesh.Change{has("web", nil)}, stopped: "callee", status: 403, reason: "undeclared"},
		"undeclared":       {mesh: []mesh.Change{has("web", nil), has("orders", nil)}, stopped: "dependency", status: 403, reason: "undeclared"},
		"undeclared, TCP":  {mesh: []mesh.Change{has("web", nil), has("orders", func(s *mesh.Service) { s.Protocol = mesh.TCP })}, stopped: "dependency", says: "has not declared"},
		"no instance":      {mesh: []mesh.Change{has("web", nil, "orders"), has("orders", nil)}, stopped: "endpoints", status: 503, says: "none is registered"},
		"draining":         {mesh: []mesh.Change{has("web", nil, "orders"), has("orders", nil), runs("orders", mesh.Draining)}, stopped: "endpoints", status: 503, says: "1 draining"},
		"another host":     {mesh: []mesh.Change{has("web", nil, "orders", "stock"), has("orders", nil), has("stock", nil), runs("orders", "")}, ask: mesh.ExplainedRequest{Host: "stock"}, stopped: "address", status: 503, says: `goes to "stock"`},
		"an unknown host":  {mesh: []mesh.Change{has("web", nil, "orders"), has("orders", nil), runs("orders", "")}, ask: mesh.ExplainedRequest{Host: "stock"}, stopped: "address", status: 403, reason: "undeclared"},
		"TCP by name":      {mesh: []mesh.Change{has("web", nil, "orders"), has("orders", func(s *mesh.Service) { s.Protocol = mesh.TCP }), runs("orders", "")}, ask: mesh.ExplainedRequest{Host: "orders"}, stopped: "address", status: 421, reason: "tcp"},
		"unapproved":       {mesh: []mesh.Change{has("web", nil, "orders"), has("orders", approved), runs("orders", ""), tokens, authorizer}, trust: identities, stopped: "approval", status: 403, reason: "unapproved"},
		"by the callee":    {mesh: []mesh.Change{has("web", nil, "orders"), has("orders", approved), runs("orders", "")}, trust: identities, stopped: "authorization", status: 403, reason: "caller"},
		"nobody asks":      {mesh: []mesh.Change{has("web", nil, "orders"), has("orders", approved), runs("orders", "")}, warns: "has not approved"},
		"no authorizer":    {mesh: []mesh.Change{has("web", nil, "orders"), has("orders", nil), runs("orders", ""), tokens}, trust: identities, stopped: "token", status: 503, reason: "no-authorizer"},
		"no route":         {mesh: []mesh.Change{has("orders", nil), runs("orders", "")}, from: "gateway/edge", stopped: "dependency", status: 404, reason: "no-route"},
		"through the edge": {mesh: []mesh.Change{has("orders", nil), runs("orders", ""), shop("orders")}, from: "gateway/edge", says: "may call"},
		"an empty edge":    {mesh: []mesh.Change{has("orders", nil), shop("orders")}, from: "gateway/edge", stopped: "endpoints", status: 503, reason: "no-instance"},
	} {
		t.Run(name, func(t *testing.T) {
			m := explained(c.mesh...)
			m.Trust = c.trust
			if c.from == "" {
				c.from = "web"
			}
			got := explain(t, m, insight.Question{From: c.from, To: "orders", Request: c.ask})
			if got.Stopped != c.stopped || got.Status != c.status || got.Reason != c.reason || !strings.Contains(got.Summary, c.says) {
				t.Errorf("stopped by %q, %d %q: %s", got.Stopped, got.Status, got.Reason, got.Summary)
			}
			if (got.Verdict == mesh.CallStopped) != (c.stopped != "") || got.Verdict == mesh.CallStopped && got.Mend == "" {
				t.Errorf("verdict %s, mend %q", got.Verdict, got.Mend)
			}
			warned := c.warns == ""
			for _, step := range got.Steps {
				warned = warned || step.Status == mesh.StepWarns && strings.Contains(step.Text, c.warns)
				if step.Status == mesh.StepNotReached && c.stopped == "" || step.Status != mesh.StepNotReached && step.Text == "" {
					t.Errorf("step %+v", step)
				}
			}
			if !warned {
				t.Errorf("no step says %q: %+v", c.warns, got.Steps)
			}
		})
	}
}

func shop(service mesh.ServiceName) mesh.Change {
	return mesh.Change{Route: &mesh.Route{Name: "shop", Owner: "team", Hosts: []string{"shop.example.com"}, Backends: []mesh.WeightedBackend{{Service: service, Weight: 1}}}}
}

// What explain says to ask with is taken as a proof: Cloudflare Access has a header of
// its own, an OIDC issuer that of all bearers.
func TestExplainNamesTheHeadersOfProofs(t *testing.T) {
	route := shop("orders")
	route.Route.Auth = &mesh.RouteAuth{Provider: "staff"}
	m := explained(has("orders", nil), runs("orders", ""), route, mesh.Change{TokenKeys: &mesh.TokenKeys{Issuer: "https://heddle.local", JWKS: []byte(`{}`)}},
		mesh.Change{Authorizer: &mesh.Authorizer{ID: "a", Address: "127.0.0.1", Port: 1}})
	m.Trust = identities
	ask := insight.Question{From: "gateway/edge", To: "orders"}
	got := explain(t, m, ask)
	if got.Stopped != "route" || got.Status != 401 || got.Reason != "no_token" {
		t.Errorf("%d %s: %s", got.Status, got.Reason, got.Summary)
	}
	for _, header := range []string{"Cf-Access-Jwt-Assertion", "Authorization"} {
		if !strings.Contains(got.Mend, "--header '"+header+"=") || !strings.Contains(got.Summary, header) {
			t.Errorf("%s is not named: %s: %s", header, got.Summary, got.Mend)
		}
		ask.Request.Headers = map[string]string{strings.ToLower(header): "x"}
		if with := explain(t, m, ask); with.Stopped != "" || with.Verdict != mesh.CallUncertain {
			t.Errorf("with %s: %s", header, with.Summary)
		}
	}
}

func TestExplainTellsOfProxiesThatAreBehind(t *testing.T) {
	m := explained(has("web", nil, "orders"), has("orders", nil), runs("orders", ""))
	web := translate.ScopeOf(mesh.Proxy{Service: "web", Instance: "1"})
	refused := &insight.Refused{Message: "no such thing", Standing: true, Origins: []translate.Origin{{Object: "service/orders", Author: "helen", Revision: 7}}}
	ask := func(types ...insight.ProxyType) mesh.Explanation {
		m.Proxies = connected(insight.Proxy{Node: "web/1", Scope: web, Types: types})
		return explain(t, m, insight.Question{From: "web", To: "orders"})
	}
	if got := ask(insight.ProxyType{Type: translate.TypeRoute, Sent: "2", Refused: refused}); got.Stopped != "configuration" || got.Status != 404 {
		t.Errorf("without any routes: %s", got.Summary)
	}
	got := ask(insight.ProxyType{Type: translate.TypeRoute, Sent: "2", Acknowledged: "1", Refused: refused})
	if text := fmt.Sprintf("%+v", got.Steps[5]); got.Verdict != mesh.CallUncertain || !strings.Contains(text, "warns") || !strings.Contains(text, "no such thing; because of service/orders, revision 7") || strings.Contains(text, "helen") {
		t.Errorf("with older routes: %s", text)
	}
	m.Quarantine = []insight.Quarantined{{Type: translate.TypeCluster, Name: "orders", Message: "bad", Node: "web/1"}}
	if got := ask(); got.Stopped != "configuration" || got.Status != 503 {
		t.Errorf("a cluster that nobody is sent: %s", got.Summary)
	}
}

// A gRPC library that speaks xDS itself is sent less than an Envoy, under other names.
func TestExplainKnowsProxylessCallers(t *testing.T) {
	speaks := func(s *mesh.Service) { s.Protocol = mesh.GRPC }
	library := insight.Proxy{Node: "web/1", Scope: translate.ScopeOf(mesh.Proxy{Service: "web", Instance: "1", Profile: mesh.Proxyless})}
	envoy := insight.Proxy{Node: "web/2", Scope: translate.ScopeOf(mesh.Proxy{Service: "web", Instance: "2", Identity: true})}
	keys := mesh.Change{TokenKeys: &mesh.TokenKeys{Issuer: "https://heddle.local", JWKS: []byte(`{}`)}}
	authorizer := mesh.Change{Authorizer: &mesh.Authorizer{ID: "a", Address: "127.0.0.1", Port: 1}}
	m := explained(has("web", nil, "orders", "plain"), has("orders", speaks), has("plain", nil), has("other", speaks), runs("orders", ""), keys, authorizer)
	m.Trust, m.Proxies = identities, connected(library)
	ask := func(from, to string) (mesh.Explanation, string) {
		got := explain(t, m, insight.Question{From: from, To: mesh.ServiceName(to)})
		return got, fmt.Sprintf("%+v", got)
	}
	got, text := ask("web", "orders")
	if got.Stopped != "" || !strings.Contains(text, "xds:///orders") || !strings.Contains(text, "cluster proxyless.orders") || !strings.Contains(text, "asks for no token") || !strings.Contains(text, "no certificate of this mesh") {
		t.Errorf("a library's call: %s", text)
	}
	if got, text := ask("web", "plain"); got.Stopped != "address" || !strings.Contains(got.Summary, "which speaks http") || strings.Contains(text, "not listen") {
		t.Errorf("what a library cannot call: %s", text)
	}
	if got, text := ask("web", "other"); got.Stopped != "dependency" || strings.Contains(text, "no listener") {
		t.Errorf("undeclared: %s", text)
	}
	m.Trust.MTLS = mesh.Strict
	if got, text := ask("web", "orders"); got.Stopped != "mtls" || got.Mend != "heddle proxy --service web" {
		t.Errorf("to a strict service: %s", text)
	}
	m.Trust.MTLS, m.Proxies = "", connected(library, envoy)
	if got, text := ask("web", "orders"); got.Stopped != "" || strings.Contains(text, "library") || !strings.Contains(text, "1 proxy of web is connected") {
		t.Errorf("the default answer is not about the Envoy: %s", text)
	}
	if _, text := ask("web/1", "orders"); !strings.Contains(text, "library") {
		t.Errorf("of one instance: %s", text)
	}
}
