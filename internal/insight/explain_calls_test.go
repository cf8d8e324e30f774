package insight_test

import (
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/translate"
)

// settled is a mesh in which nothing stops web's calls to orders, whose sidecars are
// connected.
func settled(now time.Time) insight.Mesh {
	changed := func(s *mesh.Service) { s.Meta.UpdatedAt = now.Add(-10 * time.Minute) }
	m := explained(has("web", changed, "orders"), has("orders", changed), runs("orders", ""))
	side := func(service string) insight.Proxy {
		return insight.Proxy{Node: service + "/1", Scope: translate.ScopeOf(mesh.Proxy{Service: mesh.ServiceName(service), Instance: "1", AppPort: 8080})}
	}
	m.Now, m.Proxies = now, connected(side("orders"), side("web"))
	return m
}

// A verdict claims no more than is known: of a program that is dead proxies told, and
// of a sidecar that is not there nobody can tell.
func TestExplainIsUncertainOfWhatIsNotKnown(t *testing.T) {
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for name, c := range map[string]struct {
		change  func(m *insight.Mesh)
		seen    *mesh.Edge
		verdict mesh.ExplainedVerdict
		says    string // in the step that is told about
		step    string
	}{
		"never called":        {verdict: mesh.CallAllowed, step: "calls", says: "no call of web"},
		"answered":            {seen: &mesh.Edge{LastSeen: ago(time.Minute), LastAnswered: ago(time.Minute)}, verdict: mesh.CallAllowed, step: "calls", says: "answered web last 1m0s ago"},
		"a dead program":      {seen: &mesh.Edge{LastSeen: ago(time.Minute), LastAnswered: ago(3 * time.Minute), LastFailed: ago(time.Minute), Failure: "503 unreached"}, verdict: mesh.CallUncertain, step: "calls", says: "the program behind it was not"},
		"a dead gRPC program": {seen: &mesh.Edge{LastSeen: ago(time.Minute), LastAnswered: ago(3 * time.Minute), LastFailed: ago(time.Minute), Failure: "grpc-status 14 unreached"}, verdict: mesh.CallUncertain, step: "calls", says: "saw grpc-status 14, x-heddle-reason: unreached: the sidecar"},
		"gRPC, of its own":    {seen: &mesh.Edge{LastSeen: ago(time.Minute), LastFailed: ago(time.Minute), Failure: "grpc-status 13"}, verdict: mesh.CallAllowed, step: "calls", says: "answered with grpc-status 13"},
		"no connection":       {seen: &mesh.Edge{LastSeen: ago(time.Minute), LastFailed: ago(time.Minute), Failure: "no-connection"}, verdict: mesh.CallUncertain, step: "calls", says: "no connection"},
		"well again":          {seen: &mesh.Edge{LastSeen: ago(time.Minute), LastAnswered: ago(time.Minute), LastFailed: ago(3 * time.Minute), Failure: "503 unreached"}, verdict: mesh.CallAllowed, step: "calls", says: "answered web last"},
		"before a change":     {seen: &mesh.Edge{LastSeen: ago(11 * time.Minute), LastFailed: ago(11 * time.Minute), Failure: "503 no-answer"}, verdict: mesh.CallAllowed, step: "calls", says: "since that was answered"},
		"long ago":            {seen: &mesh.Edge{LastSeen: ago(2 * time.Hour), LastFailed: ago(2 * time.Hour), Failure: "503 unreached"}, verdict: mesh.CallAllowed, step: "calls", says: "is not known"},
		"an answer of its":    {seen: &mesh.Edge{LastSeen: ago(time.Minute), LastFailed: ago(time.Minute), Failure: "500"}, verdict: mesh.CallAllowed, step: "calls", says: "answered with 500"},
		"now and then":        {seen: &mesh.Edge{LastSeen: ago(time.Second), LastAnswered: ago(time.Second), LastFailed: ago(2 * time.Second), Failure: "503 no-answer", RequestRate: 4, ErrorRate: 1}, verdict: mesh.CallUncertain, step: "calls", says: "25 % of the calls"},
		"refused":             {seen: &mesh.Edge{LastSeen: ago(time.Minute), LastRefused: ago(time.Minute), Reason: "token"}, verdict: mesh.CallUncertain, step: "calls", says: "was refused (token)"},
		"no sidecar there":    {change: func(m *insight.Mesh) { m.Proxies = connected(m.Proxies("web")...) }, verdict: mesh.CallUncertain, step: "sidecars", says: "no sidecar of"},
		"no sidecar here":     {change: func(m *insight.Mesh) { m.Proxies = connected(m.Proxies("orders")...) }, verdict: mesh.CallUncertain, step: "configuration", says: "no proxy of web"},
		"nobody reports":      {change: func(m *insight.Mesh) { m.Seen = nil }, verdict: mesh.CallAllowed, step: "calls", says: "no proxy reports"},
		"a warning, no doubt": {change: func(m *insight.Mesh) { m.Trust = identities }, verdict: mesh.CallAllowed, step: "mtls", says: "in plain text"},
	} {
		t.Run(name, func(t *testing.T) {
			m := settled(now)
			m.Seen = func(caller, callee string) (mesh.Edge, bool) {
				if c.seen == nil || caller != "web" || callee != "orders" {
					return mesh.Edge{}, false
				}
				return *c.seen, true
			}
			if c.change != nil {
				c.change(&m)
			}
			got := explain(t, m, insight.Question{From: "web", To: "orders"})
			if got.Verdict != c.verdict || (c.verdict == mesh.CallUncertain) != strings.Contains(got.Summary, "not known to arrive") {
				t.Errorf("%s: %s", got.Verdict, got.Summary)
			}
			doubted := false
			for _, step := range got.Steps {
				doubted = doubted || step.Doubt
				if step.ID == c.step && (!strings.Contains(step.Text, c.says) || step.Doubt != (c.verdict == mesh.CallUncertain)) {
					t.Errorf("%+v", step)
				}
			}
			if doubted != (c.verdict == mesh.CallUncertain) {
				t.Errorf("%s, and doubted: %v", got.Verdict, doubted)
			}
		})
	}
}

// An instance that nobody knows is a mistake in the question, and no answer is given
// about another one.
func TestExplainRefusesAnUnknownInstance(t *testing.T) {
	m := settled(time.Now())
	m.Proxies = connected(append(m.Proxies(""), insight.Proxy{Node: "edge/edge-1", Scope: translate.ScopeOf(mesh.Proxy{Service: "edge", Instance: "edge-1", Profile: mesh.GatewayProfile, Gateway: &mesh.GatewayProxy{HTTPPort: 80}})})...)
	for from, says := range map[string]string{
		"web/1": "", "orders/1": "", "gateway/edge/edge-1": "", "web": "", "gateway/edge": "", "gateway/other": "", "nobody/1": "",
		"web/web-9": "known are: 1", "orders/2": "known are: 1", "gateway/edge/edge-9": "known are: edge-1", "gateway/other/1": "known are: none",
	} {
		_, err := insight.Explain(m, insight.Question{From: from, To: "orders"})
		if (err != nil) != (says != "") || err != nil && (mesh.KindOf(err) != mesh.KindNotFound || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %v", from, err)
		}
	}
}

// The answer costs what the two sides are, however many proxies there are.
func TestExplainAsksForTheProxiesOfBothSidesAlone(t *testing.T) {
	m := settled(time.Now())
	all := m.Proxies
	m.Proxies = func(of mesh.ServiceName) []insight.Proxy {
		if of != "web" && of != "orders" {
			t.Errorf("asks for the proxies of %q", of)
		}
		return all(of)
	}
	if got := explain(t, m, insight.Question{From: "web", To: "orders"}); got.Verdict == mesh.CallStopped {
		t.Error(got.Summary)
	}
}
