package test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// TestExplainKnowsADeadProgram: behind a sidecar that is well the program dies. What
// callers saw since is in the verdict, and so is that it answers again.
func TestExplainKnowsADeadProgram(t *testing.T) {
	t.Parallel()
	envoytest.Path(t)
	s := startServer(t)
	s.declare(service("orders", mesh.HTTP), service("web", mesh.HTTP, "orders"))
	program := httptest.NewServer(says("orders"))
	address := program.Listener.Addr().String()
	orders := startSidecar(t, s, "orders", "orders-1", address, proxy.Delta)
	s.register("orders", "orders-1", orders.inbound)
	web := startSidecar(t, s, "web", "web-1", "", proxy.Delta)
	explains := func(verdict mesh.ExplainedVerdict, says func(e mesh.Explanation, calls mesh.ExplainedStep) bool) {
		t.Helper()
		heddletest.Eventually(t, "the verdict "+string(verdict), func() error {
			_, _ = web.call(t, "orders", "/")
			e, err := s.client.Explain(t.Context(), "web/web-1", "orders", mesh.ExplainedRequest{})
			if err != nil {
				return err
			}
			if calls := e.Steps[len(e.Steps)-1]; e.Verdict != verdict || calls.ID != "calls" || !says(e, calls) {
				return fmt.Errorf("%s: %s (%+v)", e.Verdict, e.Summary, calls)
			}
			return nil
		})
	}
	answers := func(_ mesh.Explanation, calls mesh.ExplainedStep) bool {
		return calls.Status == mesh.StepOK && len(calls.Evidence) == 1 && calls.Text[:8] == `"orders"`
	}
	web.wants(t, "orders", "/", http.StatusOK, "orders")
	explains(mesh.CallAllowed, answers)

	program.Close()
	got := web.wants(t, "orders", "/", http.StatusServiceUnavailable, "")
	if reason := got.header.Get("x-heddle-reason"); reason != "unreached" {
		t.Errorf("the caller sees %q", reason)
	}
	explains(mesh.CallUncertain, func(e mesh.Explanation, calls mesh.ExplainedStep) bool {
		return calls.Doubt && e.Summary == "web may call orders, but the call is not known to arrive: "+calls.Text
	})
	edge := s.edge(t, "web", "orders", func(e mesh.Edge) bool { return e.Failure != "" })
	if edge.Failure != "503 unreached" || !edge.LastFailed.After(edge.LastAnswered) {
		t.Errorf("%+v", edge)
	}

	heddletest.Serve(t, address, says("orders"))
	explains(mesh.CallAllowed, answers)
}
