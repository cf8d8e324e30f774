package docker

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
)

// faulty stands in for an engine, for faults that the real one cannot be made to have.
type faulty struct {
	at       Endpoint
	list     atomic.Pointer[http.HandlerFunc]
	events   atomic.Pointer[http.HandlerFunc]
	listings atomic.Int64
	opened   atomic.Int64 // streams of events
	cut      chan struct{}
}

func startFaulty(t *testing.T) *faulty {
	t.Helper()
	folder, err := os.MkdirTemp("", "f") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	f := &faulty{at: Endpoint{Host: "unix://" + filepath.Join(folder, "s")}, cut: make(chan struct{})}
	f.lists(listed("good"))
	f.streams(f.quiet)
	listener, err := net.Listen("unix", filepath.Join(folder, "s"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		switch {
		case strings.HasSuffix(r.URL.Path, "/containers/json"):
			f.listings.Add(1)
			(*f.list.Load())(w, r)
		case strings.HasSuffix(r.URL.Path, "/events"):
			f.opened.Add(1)
			(*f.events.Load())(w, r)
		}
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return f
}

func (f *faulty) lists(h http.HandlerFunc)   { f.list.Store(&h) }
func (f *faulty) streams(h http.HandlerFunc) { f.events.Store(&h) }

func listed(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode([]container.Summary{running("ServiceName=" + name)})
	}
}

// quiet is a stream without events, until it is cut.
func (f *faulty) quiet(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).Flush()
	select {
	case <-r.Context().Done():
	case <-f.cut:
	}
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
}

// hangs answers nothing.
func hangs(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// Whatever an engine answers that is no answer, what ran last stays; the log says so once,
// and what the engine says when it is well again counts.
func TestFaultsOfAnEngineChangeNothing(t *testing.T) {
	failing := func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"message":"no space left"}`, http.StatusInternalServerError)
	}
	for name, fault := range map[string]struct{ list, events http.HandlerFunc }{
		"a list that fails":            {failing, nil},
		"a list that is none":          {says(`{"a":1}`), nil},
		"a list that is cut":           {says(`[{"Id":"0123456789abcdef","Labels":{`), nil},
		"a list that does not come":    {hangs, nil},
		"events that fail":             {listed("good"), failing},
		"events that are none":         {listed("good"), says("{\"Type\":\"container\"}\nno JSON")},
		"a stream that ends":           {listed("good"), says("")},
		"a stream that does not begin": {listed("good"), hangs},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engine := startFaulty(t)
			f := start(t, &Source{Endpoint: engine.at, Interval: 50 * time.Millisecond, Timeout: time.Second})
			f.comesTo("good")
			engine.lists(fault.list)
			if fault.events != nil {
				engine.streams(fault.events)
				engine.cut <- struct{}{}
			}
			had, opened := engine.listings.Load(), engine.opened.Load()
			for began := time.Now(); engine.listings.Load() < had+3 && engine.opened.Load() < opened+3 && time.Since(began) < 6*time.Second; time.Sleep(10 * time.Millisecond) {
				if f.last() != "good" {
					t.Fatalf("found %q", f.last())
				}
			}
			engine.streams(engine.quiet)
			engine.lists(listed("better"))
			f.comesTo("better")
			if told := strings.Count(f.log.String(), "level=WARN"); told != 1 {
				t.Errorf("told %d times:\n%s", told, f.log)
			}
		})
	}
}

// An engine whose clock is another than the host's had containers that end taken for such
// that do not heed their stop signal, or for ending for hours.
func TestTheClockOfAnEngineDecidesNothing(t *testing.T) {
	for name, now := range map[string]time.Time{"behind": time.Now().Add(-time.Hour), "ahead": time.Now().Add(time.Hour), "not told": time.Unix(0, 0)} {
		engine := startFaulty(t)
		engine.streams(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"Type":"container","Action":"kill","Actor":{"ID":"0123456789abcdef0123","Attributes":{"signal":"15"}},"timeNano":%d}`+"\n", now.UnixNano())
			engine.quiet(w, r)
		})
		f := start(t, &Source{Endpoint: engine.at, Interval: never})
		f.comesTo("good draining")
		v := &view{Source: &Source{Logger: slog.New(slog.DiscardHandler)}, stopping: map[string]signaled{"a": {sent: now, heard: time.Now().Add(-lingerLimit)}}}
		if v.ends(container.Summary{ID: "a"}) {
			t.Errorf("a clock that is %s: it ends after %s still", name, lingerLimit)
		}
	}
}

// While events come without an end the engine is asked some 20 times a second, not for each.
func TestEventsWithoutEndAreCoalesced(t *testing.T) {
	engine := startFaulty(t)
	engine.streams(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			fmt.Fprintln(w, `{"Type":"container","Action":"start","Actor":{"ID":"0123456789abcdef0123"}}`)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(100 * time.Microsecond)
		}
	})
	f := start(t, &Source{Endpoint: engine.at, Interval: never})
	f.comesTo("good")
	before := engine.listings.Load()
	time.Sleep(2 * time.Second)
	if asked := engine.listings.Load() - before; asked < 5 || asked > 45 {
		t.Errorf("asked %d times in 2 s", asked)
	}
	engine.lists(listed("other"))
	f.comesTo("other")
	if got := len(f.all()); got != 2 {
		t.Errorf("told %d times of 2 states", got)
	}
}

func TestEndpointsThatAreNone(t *testing.T) {
	for host, certificates := range map[string]string{
		"": "", "unix://": "", "tcp://": "", "http://10.0.0.1:2375": "", "ssh://host": "", "tcp://10.0.0.1": "/certs", "tcp://10.0.0.1:2375": "", "tcp://10.0.0.1:2376": "/certs-that-are-not-there", ":": "", "/var/run/docker.sock": "",
	} {
		if err := (Endpoint{Host: host, Certificates: certificates}).Check(); err == nil {
			t.Errorf("%q is taken", host)
		}
	}
	for host, certificates := range map[string]string{"unix:///var/run/docker.sock": "", "unix:///run/docker.sock": "/certs-that-are-not-there", "tcp://127.0.0.1:2375": "", "tcp://[::1]:2375": ""} {
		if err := (Endpoint{Host: host, Certificates: certificates}).Check(); err != nil {
			t.Error(err)
		}
	}
}

func TestCertificatesThatAreNone(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "ca.pem"), []byte("none\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (Endpoint{Host: "tcp://10.0.0.1:2376", Certificates: folder}).Check(); err == nil || !strings.Contains(err.Error(), "ca.pem has no certificate in it") {
		t.Errorf("a ca.pem without a certificate: %v", err)
	}
}
