package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/heddle-mesh/heddle/internal/demo/shop"
	"github.com/heddle-mesh/heddle/internal/demo/stage"
)

// checkout is the answer to a whole checkout.
const checkout = `{"service":"web","instance":"web-1","caller":"gateway/edge","user":"ada@acme.example","calls":[
	{"service":"orders","instance":"orders-2","caller":"service/web","calls":[
		{"service":"payments","instance":"payments-1","caller":"service/orders","calls":[{"service":"ledger","instance":"ledger-1"}]},
		{"service":"stock","instance":"stock-1","caller":"service/orders"}]}]}`

// fronts gives one front onto a handler.
func testFront(t *testing.T, handler http.HandlerFunc) *front {
	t.Helper()
	server := httptest.NewServer(handler)
	f := newFront("web-1", shop.Web, server.Listener.Addr().String())
	t.Cleanup(func() { f.close(); server.Close() })
	return f
}

func TestEveryRequestOfTheLoadIsCounted(t *testing.T) {
	var asked atomic.Int64
	f := testFront(t, func(w http.ResponseWriter, r *http.Request) {
		switch n := asked.Add(1); {
		case r.Host != shop.Web:
			http.Error(w, "the host is "+r.Host, http.StatusBadRequest)
		case n == 3:
			http.Error(w, "no healthy upstream", http.StatusServiceUnavailable)
		case n == 5:
			_, _ = io.WriteString(w, `{"service":"web","instance":"web-1"}`) // not the whole way
		default:
			_, _ = io.WriteString(w, checkout)
		}
	})
	l := newLoad([]*front{f})
	l.Enter("a test")
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { l.run(ctx) })
	if err := l.More(t.Context(), l.Count(), 10); err != nil {
		t.Error(err)
	}
	stop()
	running.Wait()
	got := l.Count()
	if int64(got.Sent) != asked.Load() || got.Failed != 2 || len(l.Requests().Failures) != 2 {
		t.Errorf("%d were asked; counted %+v, failures %+v", asked.Load(), got, l.Requests().Failures)
	}
	for service, n := range map[string]int{"web-1": 1, "orders-2": 1, "payments-1": 1, "ledger-1": 1, "stock-1": 1} {
		if got.Answered[service] != (got.Sent-got.Failed)*n {
			t.Errorf("%s answered %d times", service, got.Answered[service])
		}
	}
	for i, want := range []string{"no healthy upstream", "expected 1"} {
		if failure := l.Requests().Failures[i]; failure.During != "a test" || !strings.Contains(failure.Why, want) {
			t.Errorf("failure %+v, expected one with %q", failure, want)
		}
	}
}

func TestAScenarioThatCouldNotBeginHasFailed(t *testing.T) {
	r := notPlayed(errors.New("no ports"))
	if len(r.Checks) != 12 || r.Err() == nil || !strings.Contains(r.Err().Error(), "12 of 12 checks failed") {
		t.Errorf("got %+v: %v", r, r.Err())
	}
}

func TestWhatCannotRunIsRefusedAtOnce(t *testing.T) {
	for name, c := range map[string]Config{
		"no envoy":          {Heddle: "/bin/sh", Envoy: "/nowhere/envoy"},
		"no heddle":         {Heddle: "", Envoy: "/bin/sh"},
		"JSON without once": {Heddle: "/bin/sh", Envoy: "/bin/sh", JSON: true},
	} {
		t.Run(name, func(t *testing.T) {
			if err := Run(t.Context(), c); err == nil {
				t.Error("it ran")
			}
		})
	}
}

// A server that cannot start: the result says so for every check, on standard
// output, and all is given up.
func TestAServerThatDoesNotStartIsReported(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var out, progress bytes.Buffer
	err := Run(t.Context(), Config{Heddle: "/bin/false", Envoy: "/bin/true", Once: true, JSON: true, Out: &out, Err: &progress})
	if err == nil || !strings.Contains(err.Error(), "server ended") {
		t.Errorf("got %v", err)
	}
	var r stage.Result
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || len(r.Checks) != 12 || r.Checks[0].OK || r.OK || !strings.Contains(r.Error, "server ended") {
		t.Errorf("%v: %s", err, out.String())
	}
	if !strings.Contains(progress.String(), "a demo") || !strings.Contains(progress.String(), "is kept in") {
		t.Errorf("progress: %s", progress.String())
	}
}

// What Ctrl-C broke off is no list of failed checks.
func TestAScenarioThatIsBrokenOffSaysInterrupted(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	var out bytes.Buffer
	err := Run(ctx, Config{Heddle: "/bin/sleep", Envoy: "/bin/true", Once: true, JSON: true, Out: &out})
	if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "checks failed") {
		t.Errorf("got %v", err)
	}
	var r stage.Result
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || r.OK || !strings.HasPrefix(r.Error, "interrupted") || len(r.Checks) != 12 {
		t.Errorf("%v: %s", err, out.String())
	}
}

func TestTheDemoKeepsOutOfFoldersOfOthers(t *testing.T) {
	theirs, ours := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(theirs, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err := Run(t.Context(), Config{Heddle: "/bin/false", Envoy: "/bin/true", DataDir: theirs, Out: &out})
	if err == nil || !strings.Contains(err.Error(), "not a demo's data") || out.Len() > 0 {
		t.Errorf("got %v\n%s", err, out.String())
	}
	for range 2 { // the second time it is the demo's own
		if err := claimFolder(ours); err != nil {
			t.Error(err)
		}
	}
}

// Nothing runs yet, so nothing is stopped.
func TestWrongPortsAreSaidFirst(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var out bytes.Buffer
	err := Run(t.Context(), Config{Heddle: "/bin/false", Envoy: "/bin/true", BasePort: 65535, Out: &out})
	if err == nil || !strings.Contains(err.Error(), "ports in a row") || strings.Contains(out.String(), "stopping") {
		t.Errorf("got %v\n%s", err, out.String())
	}
}
