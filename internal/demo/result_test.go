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
	"time"

	"github.com/heddle-mesh/heddle/internal/demo/shop"
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
	l.enter("a test")
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { l.run(ctx) })
	if err := l.more(t.Context(), l.count(), 10); err != nil {
		t.Error(err)
	}
	stop()
	running.Wait()
	got := l.count()
	if int64(got.sent) != asked.Load() || got.failed != 2 || len(l.failures) != 2 {
		t.Errorf("%d were asked; counted %+v, failures %+v", asked.Load(), got, l.failures)
	}
	for service, n := range map[string]int{"web-1": 1, "orders-2": 1, "payments-1": 1, "ledger-1": 1, "stock-1": 1} {
		if got.answered[service] != (got.sent-got.failed)*n {
			t.Errorf("%s answered %d times", service, got.answered[service])
		}
	}
	for i, want := range []string{"no healthy upstream", "expected 1"} {
		if failure := l.failures[i]; failure.During != "a test" || !strings.Contains(failure.Why, want) {
			t.Errorf("failure %+v, expected one with %q", failure, want)
		}
	}
}

func TestAFailedRequestFailsItsCheck(t *testing.T) {
	s := &scenario{load: newLoad(nil)}
	check := s.check(t.Context(), step{"planted", func(s *scenario, _ context.Context) (finding, error) {
		s.load.note(shop.Answer{}, errors.New("status 503"))
		return finding{"all is well", map[string]float64{"x": 1}}, nil
	}})
	if check.OK || !strings.Contains(check.Detail, "1 of 1 requests failed") || check.Figures["x"] != 1 {
		t.Errorf("got %+v", check)
	}
}

func TestChecksThatWereNotPlayedAreSaidToHaveFailed(t *testing.T) {
	stopped, stop := context.WithCancelCause(t.Context())
	stop(errors.New("the server ended"))
	s := &scenario{load: newLoad(nil)}
	if check := s.check(stopped, steps()[0]); check.OK || !strings.Contains(check.Detail, "not played: the server ended") {
		t.Errorf("got %+v", check)
	}
	r := notPlayed(errors.New("no ports"))
	if len(r.Checks) != 12 || r.Err() == nil || !strings.Contains(r.Err().Error(), "12 of 12 checks failed") {
		t.Errorf("got %+v: %v", r, r.Err())
	}
}

func TestResultAsJSON(t *testing.T) {
	var out bytes.Buffer
	r := Result{Checks: []Check{{Name: "spread", OK: true, Detail: "a → b", Figures: map[string]float64{}}}, Requests: Requests{Sent: 3}}
	if err := r.writeJSON(&out); err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, out.Bytes()); err != nil {
		t.Fatal(err)
	}
	want := `{"ok":false,"checks":[{"name":"spread","ok":true,"detail":"a → b","figures":{}}],"requests":{"sent":3,"failed":0}}`
	if compact.String() != want {
		t.Errorf("got  %s\nwant %s", compact.String(), want)
	}
	if r.Err() != nil {
		t.Error(r.Err())
	}
	if good := r.concluded(nil); !good.OK || good.Error != "" {
		t.Errorf("got %+v", good)
	}
	if bad := r.concluded(errors.New("no\nits log")); bad.OK || bad.Error != "no" {
		t.Errorf("got %+v", bad)
	}
	r.Requests.Failed = 1
	if r.Err() == nil {
		t.Error("a failed request passes")
	}
}

func TestPercentiles(t *testing.T) {
	measured := []time.Duration{9, 1, 5, 3, 7}
	if percentile(measured, 0.5) != 5 || percentile(measured, 1) != 9 || percentile(measured, 0) != 1 || percentile(nil, 0.5) != 0 {
		t.Errorf("p50 %d, max %d, min %d", percentile(measured, 0.5), percentile(measured, 1), percentile(measured, 0))
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
	var r Result
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
	var r Result
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
