package probes_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/heddle-mesh/heddle/internal/probes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// port is the one of an address.
func port(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// applications are real servers, by what they serve.
func applications(t *testing.T) map[string]string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.RawQuery) })
	mux.HandleFunc("/broken", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the database is away", http.StatusInternalServerError)
	})
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(30 * time.Second):
		}
	})
	mux.HandleFunc("/query", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("deep") != "1" {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	mux.HandleFunc("/headers", func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "health.example" || strings.Join(r.Header.Values("X-A"), ",") != "1,2" || r.UserAgent() != "mine" || r.Header.Get("Accept") != "*/*" {
			http.Error(w, fmt.Sprint(r.Host, r.Header), http.StatusBadRequest)
		}
	})
	mux.HandleFunc("/pod", func(w http.ResponseWriter, r *http.Request) {
		if host, _, _ := strings.Cut(r.Host, ":"); host != "192.0.2.7" || !strings.HasPrefix(r.UserAgent(), "kube-probe/") {
			http.Error(w, r.Host, http.StatusBadRequest)
		}
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusFound) })
	mux.HandleFunc("/moved-broken", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+r.Host+"/broken", http.StatusFound)
	})
	mux.HandleFunc("/elsewhere", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://login.example/", http.StatusFound)
	})
	mux.HandleFunc("/round", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/round", http.StatusFound) })
	plain, secured := httptest.NewServer(mux), httptest.NewTLSServer(mux)
	t.Cleanup(plain.Close)
	t.Cleanup(secured.Close)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, states := grpc.NewServer(), health.NewServer()
	healthv1.RegisterHealthServer(server, states)
	states.SetServingStatus("away", healthv1.HealthCheckResponse_NOT_SERVING)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); <-done })

	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	return map[string]string{
		"HTTP": port(t, plain.Listener.Addr().String()), "SECURED": port(t, secured.Listener.Addr().String()),
		"GRPC": port(t, listener.Addr().String()), "CLOSED": port(t, closed.Addr().String()),
	}
}

// TestProbes has a kubelet ask, and real applications answer.
func TestProbes(t *testing.T) {
	apps := applications(t)
	for name, c := range map[string]struct {
		probe  string
		status int
		text   string
	}{
		"http":                    {`{"httpGet":{"path":"/ok","port":HTTP}}`, 200, "ok"},
		"http, no slash":          {`{"httpGet":{"path":"ok","port":HTTP}}`, 200, "ok"},
		"http, a query":           {`{"httpGet":{"path":"/query?deep=1","port":HTTP}}`, 200, "ok"},
		"http that is broken":     {`{"httpGet":{"path":"/broken","port":HTTP}}`, 503, "500 Internal Server Error: the database is away"},
		"http that is not there":  {`{"httpGet":{"path":"/nothing","port":HTTP}}`, 503, "404"},
		"http without a server":   {`{"httpGet":{"port":CLOSED}}`, 503, "refused"},
		"https, not verified":     {`{"httpGet":{"path":"/ok","port":SECURED,"scheme":"HTTPS"}}`, 200, "ok"},
		"https, spoken to plain":  {`{"httpGet":{"path":"/ok","port":HTTP,"scheme":"HTTPS"}}`, 503, ""},
		"too slow":                {`{"httpGet":{"path":"/slow","port":HTTP},"timeoutSeconds":1}`, 503, "not within 1s"},
		"headers":                 {`{"httpGet":{"path":"/headers","port":HTTP,"httpHeaders":[{"name":"host","value":"health.example"},{"name":"X-A","value":"1"},{"name":"x-a","value":"2"},{"name":"User-Agent","value":"mine"}]}}`, 200, "ok"},
		"as the pod is known":     {`{"httpGet":{"path":"/pod","port":HTTP}}`, 200, "ok"},
		"redirected":              {`{"httpGet":{"path":"/moved","port":HTTP}}`, 200, "ok"},
		"redirected to the pod":   {`{"httpGet":{"path":"/moved-broken","port":HTTP}}`, 503, "database"},
		"redirected elsewhere":    {`{"httpGet":{"path":"/elsewhere","port":HTTP}}`, 200, "ok"},
		"redirected for ever":     {`{"httpGet":{"path":"/round","port":HTTP}}`, 503, "redirected 10 times"},
		"tcp":                     {`{"tcpSocket":{"port":HTTP}}`, 200, "ok"},
		"tcp without a server":    {`{"tcpSocket":{"port":CLOSED}}`, 503, "refused"},
		"grpc":                    {`{"grpc":{"port":GRPC}}`, 200, "ok"},
		"grpc, not serving":       {`{"grpc":{"port":GRPC,"service":"away"}}`, 503, "NOT_SERVING"},
		"grpc, unknown":           {`{"grpc":{"port":GRPC,"service":"what"}}`, 503, "NotFound"},
		"grpc without a server":   {`{"grpc":{"port":CLOSED}}`, 503, "refused"},
		"with what is newer here": {`{"tcpSocket":{"port":HTTP},"periodSeconds":3,"terminationGracePeriodSeconds":9}`, 200, "ok"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := c.probe
			for app, port := range apps {
				text = strings.ReplaceAll(text, ":"+app, ":"+port)
			}
			found, err := probes.Parse(`{"app/readiness":` + text + `}`)
			if err != nil {
				t.Fatal(err)
			}
			var log strings.Builder
			logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			status, body := ask(t, &probes.Handler{Probes: found, Address: "127.0.0.1", Logger: logger}, "/probe/app/readiness")
			if status != c.status {
				t.Errorf("got %d %s", status, body)
			}
			said := body
			if status != http.StatusOK { // the reason is for the log, and not for whoever asks
				if said = log.String(); !strings.HasPrefix(body, "the application's probe failed: ") || strings.Contains(body, "database") {
					t.Errorf("the caller is told: %s", body)
				}
			}
			if !strings.Contains(said, c.text) {
				t.Errorf("got %d %s", status, said)
			}
		})
	}
}

// ask asks a handler as the kubelet asks the pod.
func ask(t *testing.T, handler http.Handler, path string) (int, string) {
	t.Helper()
	request := httptest.NewRequest(http.MethodGet, path, http.NoBody)
	request.Host = "chosen.example:15020"
	request = request.WithContext(context.WithValue(request.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 15020}))
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	body, err := io.ReadAll(recorder.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return recorder.Code, string(body)
}

// TestManyWhoAskShareOneProbe: nobody makes an application busy by asking its sidecar.
func TestManyWhoAskShareOneProbe(t *testing.T) {
	const callers = 20
	var asked atomic.Int64
	answer := make(chan struct{})
	app := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1); <-answer }))
	t.Cleanup(app.Close)
	found, err := probes.Parse(`{"app/readiness":{"httpGet":{"port":` + port(t, app.Listener.Addr().String()) + `},"timeoutSeconds":30}}`)
	if err != nil {
		t.Fatal(err)
	}
	handler := &probes.Handler{Probes: found, Address: "127.0.0.1"}
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			if status, body := ask(t, handler, "/probe/app/readiness"); status != http.StatusOK {
				t.Errorf("got %d %s", status, body)
			}
		})
	}
	for end := time.Now().Add(time.Minute); waiting() < callers; runtime.Gosched() {
		if time.Now().After(end) {
			t.Errorf("%d of %d wait for the one probe", waiting(), callers)
			break
		}
	}
	close(answer)
	all.Wait()
	if got := asked.Load(); got != 1 {
		t.Errorf("the application was asked %d times", got)
	}
}

// waiting is how many wait for a probe, their own or another's.
func waiting() int {
	stacks := make([]byte, 1<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "singleflight.(*Group).Do(")
}

func TestReady(t *testing.T) {
	var fault error
	handler := &probes.Handler{Ready: func() error { return fault }}
	if status, _ := ask(t, handler, "/ready"); status != http.StatusOK {
		t.Errorf("got %d", status)
	}
	fault = errors.New("Envoy is away")
	if status, body := ask(t, handler, "/ready"); status != http.StatusServiceUnavailable || body != "Envoy is away\n" {
		t.Errorf("got %d %q", status, body)
	}
	for _, path := range []string{"/probe/app/readiness", "/probe/app", "/", "/metrics"} {
		if status, _ := ask(t, handler, path); status != http.StatusNotFound {
			t.Errorf("%s: got %d", path, status)
		}
	}
}

func TestProbesThatAreWrong(t *testing.T) {
	for text, want := range map[string]string{
		`{`:                "read the application's probes",
		`{"app/ready":{}}`: `app/ready: is not a container's name`,
		`{"app/liveness":{"exec":{"command":["x"]}}}`:                    "needs exactly one of",
		`{"app/liveness":{"tcpSocket":{"port":1},"grpc":{"port":2}}}`:    "needs exactly one of",
		`{"app/liveness":{"tcpSocket":{"port":"http"}}}`:                 "ports are numbers here",
		`{"app/liveness":{"tcpSocket":{"port":0}}}`:                      "0 is not a port",
		`{"app/liveness":{"httpGet":{"port":80,"scheme":"FTP"}}}`:        `the scheme "FTP"`,
		`{"app/liveness":{"tcpSocket":{"port":80},"timeoutSeconds":-1}}`: "the timeout is negative",
	} {
		if _, err := probes.Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", text, err)
		}
	}
	if found, err := probes.Parse(""); found != nil || err != nil {
		t.Errorf("none: %v, %v", found, err)
	}
}
