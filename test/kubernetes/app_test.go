package kubernetes_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// What makes this test program the application of a pod.
const (
	podApp     = "HEDDLE_TEST_POD_APP"     // "ADDRESS TEXT": where it serves, and what it says; or "once URL"
	podControl = "HEDDLE_TEST_POD_CONTROL" // address where the test asks it to call others
	podLast    = "HEDDLE_TEST_POD_LAST"    // URL that it calls after it was told to end
)

const controlPort = "9100"

// application is the program in a pod: it says its text, and whether the caller
// brought a token of the mesh.
type application struct {
	unready atomic.Bool
	load    *load
}

// runPodApp serves until SIGTERM, and lets what is under way end.
func runPodApp(says string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	address, text, _ := strings.Cut(says, " ")
	if address == "once" {
		return callOnce(text)
	}
	a := &application{}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s, token %t", text, r.Header.Get("X-Heddle-Token") != "")
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(slow)
		fmt.Fprint(w, text, ", slowly")
	})
	mux.HandleFunc("/ready", func(w http.ResponseWriter, _ *http.Request) {
		if a.unready.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	ended := make(chan error, 2)
	serve := func(address string, handler http.Handler) *http.Server {
		server := &http.Server{Addr: address, Handler: handler, ReadHeaderTimeout: time.Minute}
		go func() { ended <- server.ListenAndServe() }()
		return server
	}
	server := serve(address, mux)
	if control := os.Getenv(podControl); control != "" {
		serve(control, a.control(ctx))
	}
	select {
	case err := <-ended:
		fmt.Fprintln(os.Stderr, err)
		return 1
	case <-ctx.Done():
	}
	if err := server.Shutdown(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if last := os.Getenv(podLast); last != "" {
		status, body := fetch(http.DefaultClient, last, "")
		_ = os.WriteFile("/dev/termination-log", fmt.Appendf(nil, "%d %s", status, body), 0o600)
	}
	return 0
}

// slow is longer than callers have to leave (heddle.io/drain), so that such an
// answer is under way when the application is told to end.
const slow = 7 * time.Second

// callOnce is an application that calls and ends, as a Job's.
func callOnce(url string) int {
	status, body := fetch(http.DefaultClient, url, "")
	_ = os.WriteFile("/dev/termination-log", fmt.Appendf(nil, "%d %s", status, body), 0o600)
	if status != http.StatusOK {
		return 1
	}
	return 0
}

// control is what the test asks of an application.
func (a *application) control(ctx context.Context) http.Handler {
	status, body := fetch(http.DefaultClient, "http://127.0.0.1:15020/ready", "")
	sidecar := fmt.Sprint(status, " ", body)
	mux := http.NewServeMux()
	mux.HandleFunc("/sidecar", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, sidecar) })
	mux.HandleFunc("/call", func(w http.ResponseWriter, r *http.Request) {
		client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		status, body := fetch(&client, r.FormValue("url"), r.FormValue("host"))
		_ = json.NewEncoder(w).Encode(answer{status, body})
	})
	mux.HandleFunc("/unready", func(_ http.ResponseWriter, r *http.Request) { a.unready.Store(r.FormValue("is") == "true") })
	mux.HandleFunc("/load", func(_ http.ResponseWriter, r *http.Request) {
		a.load = startLoad(ctx, r.FormValue("url"), r.FormValue("host"))
	})
	mux.HandleFunc("/loaded", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(a.load.end()) })
	return mux
}

// answer is what the application got from others, 0 and why when there was nothing.
type answer struct {
	Status int
	Body   string
}

// fetch gives the answer to a GET, and 0 and why when there is none.
func fetch(client *http.Client, url, host string) (status int, body string) {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, err.Error()
	}
	request.Host = host
	response, err := client.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, fmt.Sprintf("%d %s, then %v", response.StatusCode, data, err)
	}
	return response.StatusCode, string(data)
}

// tally is what became of calls.
type tally struct {
	Made, Failed int
	Why          []string       // the first failures
	Answers      map[string]int // by what they said
}

// load calls all the time, by connections that are kept and by new ones, and slowly.
type load struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	mu     sync.Mutex
	tally  tally // guarded by mu
}

func startLoad(ctx context.Context, url, host string) *load {
	ctx, cancel := context.WithCancel(ctx)
	l := &load{cancel: cancel, tally: tally{Answers: map[string]int{}}}
	for i, path := range []string{"/", "/", "/", "/", "/slow", "/slow"} {
		client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: i%2 == 0}}
		l.done.Go(func() {
			for ctx.Err() == nil {
				status, body := fetch(client, url+path, host)
				l.note(status, body)
				time.Sleep(5 * time.Millisecond)
			}
			client.CloseIdleConnections()
		})
	}
	return l
}

func (l *load) note(status int, body string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tally.Made++
	l.tally.Answers[body]++
	if status != http.StatusOK {
		l.tally.Failed++
		if len(l.tally.Why) < 5 {
			l.tally.Why = append(l.tally.Why, fmt.Sprintf("%s: %d %s", time.Now().Format(time.TimeOnly), status, body))
		}
	}
}

func (l *load) end() tally {
	l.cancel()
	l.done.Wait()
	return l.tally
}
