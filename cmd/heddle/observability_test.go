package main

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/dashboards"
)

const observability = "../../deploy/observability"

func readQueries(t *testing.T) []dashboards.Query {
	t.Helper()
	queries, err := dashboards.Read(observability)
	if err != nil {
		t.Fatal(err)
	}
	if len(queries) < 50 {
		t.Fatalf("only %d queries found: does the test still see them?", len(queries))
	}
	return queries
}

// TestQueriesFitWhatIsExported holds each query of the dashboards and the alerts to
// what a server and an AuthZ service export after work of every kind. Those on Envoy's
// metrics are held to a real Envoy in test/.
func TestQueriesFitWhatIsExported(t *testing.T) {
	m := startBusyMesh(t)
	exported := dashboards.Exported{}
	for _, url := range []string{m.server, m.authz} {
		response, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		exported.Parse(string(body))
	}
	operations, err := os.ReadFile("../../api/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	known := func(label, value string) bool {
		return strings.Contains(labelMeanings[label], "`"+value+"`") ||
			label == "operation" && strings.Contains(string(operations), `"operationId": "`+value+`"`)
	}
	for _, q := range readQueries(t) {
		for _, prefix := range []string{"heddle_", "process_", "go_"} {
			for _, fault := range exported.Faults(q, prefix, known) {
				t.Error(fault)
			}
		}
	}
}

// TestAlertsHaveARunbook looks for the section of each alert.
func TestAlertsHaveARunbook(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	alerts, err := os.ReadFile(filepath.Join(observability, "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile(filepath.Join(observability, "alerts_test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range readQueries(t) {
		switch {
		case q.Alert == "":
		case !strings.Contains(string(page), "\n### "+q.Alert+"\n"):
			t.Errorf("docs/operations.md has no section for %s", q.Alert)
		case !strings.Contains(string(alerts), "docs/operations.md#"+strings.ToLower(q.Alert)+"\n"):
			t.Errorf("%s does not link to its section", q.Alert)
		case !strings.Contains(string(tests), "alertname: "+q.Alert+"\n"):
			t.Errorf("alerts_test.yaml does not play %s", q.Alert)
		}
	}
}

// TestPromtoolAcceptsTheQueries has Prometheus's own tool judge every query, and play
// the alerts.
func TestPromtoolAcceptsTheQueries(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not there: hack/system.sh prometheus installs it")
	}
	all := filepath.Join(t.TempDir(), "queries.yaml")
	if err := os.WriteFile(all, dashboards.Rules(readQueries(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, arguments := range [][]string{{"check", "rules", all}, {"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		command := exec.CommandContext(t.Context(), promtool, arguments...)
		command.Dir = observability
		if output, err := command.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(arguments, " "), err, output)
		}
	}
}
