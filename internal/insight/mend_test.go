package insight_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// words are what a shell makes of a line.
func words(t *testing.T, line string) []string {
	t.Helper()
	got, err := exec.CommandContext(t.Context(), "sh", "-c", "heddle() { printf '%s\\n' \"$@\"; }; curl() { heddle \"$@\"; }; evil() { echo RAN; }; "+line).Output() //nolint:gosec // this is what is tested
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return strings.Split(strings.TrimSuffix(string(got), "\n"), "\n")
}

const evil = "/$(evil${IFS}x)'&evil&'`evil`|evil"

func TestWhatARequestHoldsIsNeverRunByItsMend(t *testing.T) {
	protected := shop("orders")
	protected.Route.Auth = &mesh.RouteAuth{Provider: "staff"}
	edge := []mesh.Change{has("orders", nil), runs("orders", ""), protected, {TokenKeys: &mesh.TokenKeys{Issuer: "https://heddle.local", JWKS: []byte(`{}`)}},
		{Authorizer: &mesh.Authorizer{ID: "a", Address: "127.0.0.1", Port: 1}}}
	inside := []mesh.Change{has("web", nil, "orders", "stock"), has("orders", nil), has("stock", nil), runs("orders", "")}
	for name, c := range map[string]struct {
		mesh []mesh.Change
		from string
		ask  mesh.ExplainedRequest
		want string
	}{
		"a path that needs a proof": {edge, "gateway/edge", mesh.ExplainedRequest{Host: "shop.example.com", Path: evil}, evil},
		"the path of another host":  {inside, "web", mesh.ExplainedRequest{Host: "nobody" + evil, Path: evil}, evil},
	} {
		t.Run(name, func(t *testing.T) {
			m := explained(c.mesh...)
			m.Trust = identities
			got := explain(t, m, insight.Question{From: c.from, To: "orders", Request: c.ask})
			if got.Mend == "" {
				t.Fatalf("nothing mends it: %s", got.Summary)
			}
			line := words(t, got.Mend)
			if slices.Contains(line, "RAN") || !slices.ContainsFunc(line, func(word string) bool { return strings.HasSuffix(word, c.want) }) {
				t.Errorf("%s: %s is %q", got.Summary, got.Mend, line)
			}
		})
	}
}

func TestWhatAProxyReportsIsNeverRunByAMend(t *testing.T) {
	now := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	seen := insight.Observed{Edges: []mesh.Edge{{Caller: "old", Callee: evil, Requests: 2, Refused: 2, LastSeen: now, LastRefused: now, Reason: "caller"}}}
	got := insight.Drift(declaredMesh(map[string][]mesh.ServiceName{"old": {}}), seen, insight.DriftOptions{Now: now})
	if len(got.Items) != 1 {
		t.Fatalf("%+v", got.Items)
	}
	if line := words(t, got.Items[0].Mend); !slices.Equal(line, []string{"explain", "old", evil}) {
		t.Errorf("%s is %q", got.Items[0].Mend, line)
	}
}

func TestARequestWithWhatATerminalObeysIsNone(t *testing.T) {
	for _, ask := range []mesh.ExplainedRequest{{Path: "/a\nevil"}, {Path: "/\x03"}, {Host: "a\x15"}} {
		q := insight.Question{From: "web", To: "orders", Request: ask}
		if len(q.Validate()) == 0 {
			t.Errorf("%q is taken", ask)
		}
	}
}
