package test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// edge waits until what was seen between two fits.
func (s *server) edge(t *testing.T, caller, callee string, fits func(mesh.Edge) bool) mesh.Edge {
	t.Helper()
	var found mesh.Edge
	heddletest.Eventually(t, caller+" to "+callee+" to be seen", func() error {
		all, err := s.client.Edges(t.Context(), "")
		if err != nil {
			return err
		}
		for _, one := range all {
			if one.Caller == caller && one.Callee == callee && fits(one) {
				found = one
				return nil
			}
		}
		return fmt.Errorf("seen was %+v", all)
	})
	return found
}

// TestWhatSidecarsSee: what was called, attempted and refused is known to the
// control plane within seconds, from whoever is able to see it.
func TestWhatSidecarsSee(t *testing.T) {
	t.Parallel()
	envoytest.Path(t)
	s := startSecure(t, "--mtls", "strict")
	watched := service("watched", mesh.HTTP)
	watched.Access = mesh.Access{Enforcement: mesh.Observe}
	tolerant := service("tolerant", mesh.TCP)
	tolerant.Access = mesh.Access{Enforcement: mesh.Observe}
	s.declare(service("ledger", mesh.TCP), service("orders", mesh.HTTP, "ledger"), watched, tolerant, service("web", mesh.HTTP, "orders", "missing"), service("other", mesh.HTTP))
	all := startMesh(t, s, "web", "orders", "other", "ledger", "watched", "tolerant")
	web := all["web"].side()

	t.Run("declared", func(t *testing.T) {
		web.wants(t, "orders", "/secret-path", http.StatusOK, "orders")
		got := s.edge(t, "web", "orders", func(e mesh.Edge) bool { return e.Requests > 0 })
		if got.Refused != 0 || got.RequestRate == 0 || got.FirstSeen.IsZero() || got.LastSeen.IsZero() || !got.LastRefused.IsZero() {
			t.Errorf("%+v", got)
		}
	})
	t.Run("undeclared", func(t *testing.T) {
		for host, callee := range map[string]string{"watched": "watched", "Watched.mesh:80": "watched", "api.example.org:8443": "api.example.org"} {
			web.wants(t, host, "/", http.StatusForbidden, "has not declared")
			got := s.edge(t, "web", callee, func(e mesh.Edge) bool { return e.Undeclared > 0 })
			if got.Refused != got.Requests || got.Reason != "undeclared" || got.Errors != 0 || got.LastRefused.IsZero() {
				t.Errorf("%+v", got)
			}
		}
	})
	t.Run("pending", func(t *testing.T) {
		web.wants(t, "missing", "/", http.StatusServiceUnavailable, "no service")
		s.edge(t, "web", "missing", func(e mesh.Edge) bool { return e.Errors == e.Requests && e.Refused == 0 })
	})
	t.Run("refused by the callee", func(t *testing.T) {
		certificates := []tls.Certificate{all["other"].certificate(t)}
		if got, err := directly(t, all["orders"].inbound(), "/", certificates, nil); err != nil || got.status != http.StatusForbidden {
			t.Fatalf("%+v, %v", got, err)
		}
		s.edge(t, "other", "orders", func(e mesh.Edge) bool { return e.Requests == 1 && e.Refused == 1 && e.Reason == "caller" })
		if got, err := directly(t, all["ledger"].inbound(), "/", certificates, nil); err == nil {
			t.Fatalf("%+v", got)
		}
		s.edge(t, "other", "ledger", func(e mesh.Edge) bool { return e.Refused > 0 && e.Reason == "caller" })
	})
	t.Run("would be refused", func(t *testing.T) {
		certificates := []tls.Certificate{all["other"].certificate(t)}
		for _, callee := range []string{"watched", "tolerant"} {
			if got, err := directly(t, all[callee].inbound(), "/", certificates, nil); err != nil || got.status != http.StatusOK {
				t.Fatalf("%+v, %v", got, err)
			}
			s.edge(t, "other", callee, func(e mesh.Edge) bool { return e.Refused == 1 && e.Reason == "caller" })
		}
	})
}

// drift waits until something that does not agree is told.
func (s *server) drift(t *testing.T, kind mesh.DriftKind, caller, callee string) mesh.DriftItem {
	t.Helper()
	var found mesh.DriftItem
	heddletest.Eventually(t, fmt.Sprintf("%s: %s to %s", kind, caller, callee), func() error {
		got, err := s.client.Drift(t.Context(), client.DriftQuery{})
		if err != nil {
			return err
		}
		for _, one := range got.Items {
			if one.Kind == kind && one.Caller == caller && one.Callee == callee {
				found = one
				return nil
			}
		}
		return fmt.Errorf("the drift is %+v", got)
	})
	return found
}

// TestDriftAndItsMending: what is seen appears in the drift, one command declares it,
// and what was seen outlasts the server.
func TestDriftAndItsMending(t *testing.T) {
	t.Parallel()
	envoytest.Path(t)
	s := startSecure(t)
	s.declare(service("orders", mesh.HTTP), service("web", mesh.HTTP), service("idle", mesh.HTTP, "orders"))
	all := startMesh(t, s, "web", "orders")
	web := all["web"].side()
	web.wants(t, "orders", "/", http.StatusForbidden, "has not declared")
	if got := s.drift(t, mesh.DriftUndeclared, "web", "orders"); !got.Declarable || got.Mend != "heddle drift --declare web orders" || got.CallerOwner != "team-test" {
		t.Errorf("%+v", got)
	}
	s.drift(t, mesh.DriftUnseen, "idle", "orders")
	if got, err := ask(t, all["orders"].inbound(), "orders", "/"); err != nil || got.status != http.StatusOK {
		t.Fatalf("%+v, %v", got, err)
	}
	s.drift(t, mesh.DriftPlain, "address/127.0.0.1", "orders")

	run := func(arguments ...string) string {
		path := heddle.Path(t)
		command := exec.CommandContext(t.Context(), path, arguments...)
		command.Env = append(os.Environ(), "HEDDLE_SERVER="+s.rest, "HEDDLE_TOKEN="+s.token)
		out, err := command.CombinedOutput()
		if err != nil {
			return fmt.Sprintf("%s%v", out, err)
		}
		return string(out)
	}
	for want, arguments := range map[string][]string{
		"web tried to call orders": {"drift"}, "exit status 7": {"drift", "--fail", "-o", "json"}, "- orders": {"import"},
	} {
		if got := run(arguments...); !strings.Contains(got, want) {
			t.Errorf("heddle %v: %s", arguments, got)
		}
	}
	if got := run("drift", "--declare", "web", "orders"); !strings.Contains(got, "web declares orders (revision") {
		t.Error(got)
	}
	if got := run("drift", "--declare", "web", "orders"); !strings.Contains(got, "already") {
		t.Error(got)
	}
	web.wants(t, "orders", "/", http.StatusOK, "orders")
	before := s.edge(t, "web", "orders", func(e mesh.Edge) bool { return e.Declared && e.Requests > e.Refused })
	s.End()
	s.restart()
	after := s.edge(t, "web", "orders", func(e mesh.Edge) bool { return e.Requests >= before.Requests })
	if !after.FirstSeen.Equal(before.FirstSeen) || after.Undeclared != before.Undeclared {
		t.Errorf("%+v, before the server was started again %+v", after, before)
	}
}

// TestReportsNeverHurtTraffic: no request fails while the control plane that takes
// the reports goes away and comes back.
func TestReportsNeverHurtTraffic(t *testing.T) {
	t.Parallel()
	envoytest.Path(t)
	s := startSecure(t, "--mtls", "strict")
	s.declare(service("orders", mesh.HTTP), service("web", mesh.HTTP, "orders"))
	all := startMesh(t, s, "web", "orders")
	web := all["web"].side()
	web.wants(t, "orders", "/", http.StatusOK, "orders")
	s.edge(t, "web", "orders", func(e mesh.Edge) bool { return e.Requests > 0 })

	done, failed := make(chan struct{}), make(chan error, 4)
	var requests atomic.Int64
	for range 4 {
		go func() {
			for {
				select {
				case <-done:
					failed <- nil
					return
				default:
				}
				got, err := web.call(t, "orders", "/")
				if err == nil && got.status != http.StatusOK {
					err = fmt.Errorf("got %d: %s", got.status, got.body)
				}
				if err != nil {
					failed <- err
					return
				}
				requests.Add(1)
			}
		}()
	}
	s.Kill()
	at := requests.Load()
	heddletest.Eventually(t, "requests without a control plane", func() error {
		if n := requests.Load() - at; n < 5000 {
			return fmt.Errorf("%d requests", n)
		}
		return nil
	})
	s.restart()
	s.edge(t, "web", "orders", func(e mesh.Edge) bool { return e.RequestRate > 10 })
	close(done)
	for range 4 {
		if err := <-failed; err != nil {
			t.Errorf("a request failed: %v", err)
		}
	}
	t.Logf("%d requests, none failed", requests.Load())
}
