package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/agent/api"
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// fleet is what an agent sees, as the test has it.
type fleet struct {
	mu      sync.Mutex
	state   *hosts.State
	watches []chan struct{}
	drained []string
}

func (f *fleet) get() *hosts.State { f.mu.Lock(); defer f.mu.Unlock(); return f.state }

func (f *fleet) set(list ...hosts.Host) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := hosts.State{Fleet: "prod", Self: "one", Changed: time.Now(), Hosts: list, Problems: []hosts.Problem{{Host: "one", Service: "web", Message: "port 80 is taken"}}}
	if f.state != nil {
		next.Version = f.state.Version + 1
	}
	f.state = &next
	for _, w := range f.watches {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

type watch struct {
	*fleet
	wake chan struct{}
}

func (f *fleet) watch() api.Watch {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := watch{f, make(chan struct{}, 1)}
	w.wake <- struct{}{}
	f.watches = append(f.watches, w.wake)
	return w
}

func (w watch) Wait(ctx context.Context) (*hosts.State, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-w.wake:
		return w.get(), nil
	}
}

func (w watch) Close() {}

func (f *fleet) drain(id string, drain bool) ([]hosts.Service, error) {
	if id != "web-1" {
		return nil, mesh.NotFound("nothing")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	said := "drain "
	if !drain {
		said = "undrain "
	}
	f.drained = append(f.drained, said+id)
	return []hosts.Service{{Name: "web", ID: id}}, nil
}

const token = "0123456789abcdef0123"

// serve answers on loopback as an agent does, until the test ends.
func serve(t *testing.T, change func(*api.Config)) (*fleet, string) {
	t.Helper()
	f := &fleet{}
	web := hosts.Service{ID: "web-1", Name: "web", Image: "web:7", Address: netip.MustParseAddr("10.0.0.1"), Ports: []hosts.Port{{Port: 8080, ServicePort: 80}}}
	f.set(hosts.Host{Name: "one", Services: []hosts.Service{web}}, hosts.Host{Name: "two", Services: []hosts.Service{{ID: "db-1", Name: "a/b db"}}})
	cfg := api.Config{State: f.get, Watch: f.watch, Drain: f.drain, Ready: func() bool { return true }, Version: "heddle v1", Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&cfg)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- api.New(cfg).Run(ctx, listener) }()
	t.Cleanup(func() {
		end()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return f, "http://" + listener.Addr().String()
}

type answer struct {
	status int
	header http.Header
	body   string
}

func ask(t *testing.T, method, url string, header ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	got, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{got.StatusCode, got.Header, string(body)}
}

// What a client of Sidecar's decodes into: its service.Service and sidecarhttp.ApiServices.
type sidecarService struct {
	ID, Name, Image, Hostname, ProxyMode string
	Created, Updated                     time.Time
	Ports                                []struct {
		Type              string
		Port, ServicePort int64
		IP                string
	}
	Status int
}

func TestSidecarsClientsReadTheFleet(t *testing.T) {
	_, base := serve(t, nil)
	for _, root := range []string{"/api", ""} {
		var list struct {
			Services       map[string][]*sidecarService
			ClusterMembers map[string]struct {
				Name         string
				LastUpdated  time.Time
				ServiceCount int
			}
			ClusterName string
		}
		decode(t, ask(t, "GET", base+root+"/services.json"), &list)
		if list.ClusterName != "prod" || list.ClusterMembers["one"].ServiceCount != 1 || len(list.Services["web"]) != 1 || list.Services["web"][0].Ports[0].IP != "10.0.0.1" {
			t.Errorf("%s/services.json is %+v", root, list)
		}
		var state struct {
			Servers map[string]struct {
				Name                     string
				Services                 map[string]*sidecarService
				LastUpdated, LastChanged time.Time
			}
			LastChanged           time.Time
			ClusterName, Hostname string
		}
		decode(t, ask(t, "GET", base+root+"/state.json"), &state)
		if web := state.Servers["one"].Services["web-1"]; state.Hostname != "one" || web == nil || web.Ports[0].ServicePort != 80 || web.ProxyMode != "http" {
			t.Errorf("%s/state.json is %+v", root, state)
		}
	}
	var one struct{ Services map[string][]*sidecarService }
	decode(t, ask(t, "GET", base+"/api/services/a%2Fb%20db.json"), &one)
	if len(one.Services) != 1 || one.Services["a/b db"][0].ID != "db-1" {
		t.Errorf("of one service: %+v", one)
	}
	for path, want := range map[string]string{"/api/services/none.json": "no instances of none found", "/api/services/web.xml": "Invalid content type extension"} {
		got := ask(t, "GET", base+path)
		var refused struct{ Status, Message string }
		if err := json.Unmarshal([]byte(got.body), &refused); err != nil || got.status != 404 || refused.Status != "error" || !strings.Contains(refused.Message, want) {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

func decode(t *testing.T, got answer, to any) {
	t.Helper()
	if got.status != http.StatusOK || got.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %s: %s", got.status, got.header.Get("Content-Type"), got.body)
	}
	if err := json.Unmarshal([]byte(got.body), to); err != nil {
		t.Fatal(err)
	}
}

// Sidecar's DecodeStream: documents one after another, each when there is a change.
func TestWatchStreamsDocuments(t *testing.T) {
	f, base := serve(t, nil)
	for path, has := range map[string]func(map[string]json.RawMessage) bool{
		"/api/watch":           func(m map[string]json.RawMessage) bool { return m["web"] != nil },
		"/watch?by_service=no": func(m map[string]json.RawMessage) bool { return m["web"] != nil },
		"/api/watch?by_service=false": func(m map[string]json.RawMessage) bool {
			return m["Servers"] != nil && m["LastChanged"] != nil
		},
	} {
		body := open(t, base+path)
		decoder := json.NewDecoder(body)
		for range 3 {
			var document map[string]json.RawMessage
			if err := decoder.Decode(&document); err != nil || !has(document) {
				t.Fatalf("%s: %v %v", path, document, err)
			}
			f.set(f.get().Hosts...)
		}
		body.Close()
	}
}

func open(t *testing.T, url string, header ...string) io.ReadCloser {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { got.Body.Close() })
	if got.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", url, got.Status)
	}
	return got.Body
}

func TestAClientFollowsTheFleet(t *testing.T) {
	f, base := serve(t, nil)
	client, err := api.NewClient(base, "")
	if err != nil {
		t.Fatal(err)
	}
	now, err := client.Fleet(t.Context())
	if err != nil || now.Agent != "heddle v1" || len(now.Members) != 2 || now.Problems[0].Message != "port 80 is taken" {
		t.Fatalf("%+v, %v", now, err)
	}
	ctx, end := context.WithCancel(t.Context())
	defer end()
	var seen []uint64
	err = client.Watch(ctx, func(got *api.Fleet) error {
		seen = append(seen, got.Version)
		if len(seen) == 3 {
			end()
			return nil
		}
		f.set(f.get().Hosts...)
		return nil
	})
	if !errors.Is(err, context.Canceled) || seen[2] != 2 {
		t.Errorf("saw %v: %v", seen, err)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	_, base := serve(t, func(c *api.Config) { c.MaxWatchers = 1 })
	first := open(t, base+"/api/v1/watch?brief=true")
	line, err := bufio.NewReader(first).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "id: ") {
		t.Fatal(line, err)
	}
	if got := ask(t, "GET", base+"/api/watch"); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("one watcher too many: %d", got.status)
	}
}

func TestWhatDidNotChangeIsNotSentAgain(t *testing.T) {
	f, base := serve(t, nil)
	for _, path := range []string{"/api/state.json", "/api/v1/fleet", "/api/v1/members", "/api/v1/services", "/api/v1/problems"} {
		tag := ask(t, "GET", base+path).header.Get("ETag")
		if got := ask(t, "GET", base+path, "If-None-Match", `"x", W/`+tag); got.status != http.StatusNotModified || got.body != "" {
			t.Errorf("%s: %d", path, got.status)
		}
		f.set(f.get().Hosts...)
		if got := ask(t, "GET", base+path, "If-None-Match", tag); got.status != http.StatusOK {
			t.Errorf("%s after a change: %d", path, got.status)
		}
	}
}

// Whatever is asked for and is not there is answered as Sidecar's errors are.
func TestErrorsAreJSON(t *testing.T) {
	_, base := serve(t, nil)
	for _, path := range []string{"/api/services/web.xml", "/api/services/nobody.json", "/api/services.xml", "/nothing"} {
		var refused struct{ Status, Message string }
		if got := ask(t, "GET", base+path); got.status != http.StatusNotFound || json.Unmarshal([]byte(got.body), &refused) != nil || refused.Status != "error" || refused.Message == "" {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if got := ask(t, "POST", base+"/api/services.json"); got.status != http.StatusMethodNotAllowed {
		t.Errorf("a write where there is none: %d", got.status)
	}
}

func TestWritesNeedAToken(t *testing.T) {
	_, closed := serve(t, nil)
	if got := ask(t, "POST", closed+"/api/services/web-1/drain", "Authorization", "Bearer "+token); got.status != http.StatusForbidden || !strings.Contains(got.body, "--api-token-file") {
		t.Errorf("without a file of tokens: %d %s", got.status, got.body)
	}
	var tokens atomic.Value
	tokens.Store("short\n\n" + token + "\n")
	f, base := serve(t, func(c *api.Config) { c.Tokens = func() []byte { return []byte(tokens.Load().(string)) } })
	drain := base + "/api/services/web-1/drain"
	for name, header := range map[string][]string{
		"none": nil, "empty": {"Authorization", "Bearer "},
		"another scheme": {"Authorization", "Basic " + token},
	} {
		if got := ask(t, "POST", drain, header...); got.status != http.StatusUnauthorized || got.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	for _, unknown := range []string{"0123456789abcdef0124", "short"} {
		if got := ask(t, "POST", drain, "Authorization", "Bearer "+unknown); got.status != http.StatusUnauthorized || !strings.Contains(got.body, "the token is not known") {
			t.Errorf("%s: %d %s", unknown, got.status, got.body)
		}
	}
	if got := ask(t, "POST", drain, "Authorization", "Bearer "+token, "Sec-Fetch-Site", "cross-site"); got.status != http.StatusForbidden {
		t.Errorf("from a page of another site: %d", got.status)
	}
	if len(f.drained) != 0 {
		t.Errorf("drained: %v", f.drained)
	}
	got := ask(t, "POST", drain, "Authorization", "Bearer "+token)
	if got.status != http.StatusAccepted || !strings.Contains(got.body, `"Message": "Service \"web\" instance \"web-1\" set to DRAINING"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	client, err := api.NewClient(base, token)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Drain(t.Context(), "web-1", true); err != nil || f.drained[1] != "undrain web-1" {
		t.Errorf("%v: %v", f.drained, err)
	}
	if _, err := client.Drain(t.Context(), "db-1", false); mesh.KindOf(err) != mesh.KindNotFound || !strings.Contains(err.Error(), "ask the agent of two") {
		t.Errorf("of another host: %v", err)
	}
	tokens.Store("another-token-of-some-length\n")
	if got := ask(t, "POST", drain, "Authorization", "Bearer "+token); got.status != http.StatusUnauthorized {
		t.Errorf("a token that was taken away: %d", got.status)
	}
}

func TestOnlyWhoMeansThisAgentIsAnswered(t *testing.T) {
	_, base := serve(t, func(c *api.Config) { c.Hosts = []string{"one"}; c.Origins = []string{"https://ui.example"} })
	for host, want := range map[string]int{"evil.example": 421, "127.0.0.1.evil.example:7777": 421, "localhost:7777": 200, "ONE": 200, "[::1]:7777": 200, "10.0.0.1": 200} {
		if got := ask(t, "GET", base+"/api/state.json", "Host", host); got.status != want {
			t.Errorf("%s: %d, want %d", host, got.status, want)
		}
	}
	if got := ask(t, "OPTIONS", base+"/api/state.json", "Origin", "https://ui.example"); got.status != 200 || got.header.Get("Access-Control-Allow-Origin") != "https://ui.example" {
		t.Errorf("%d %v", got.status, got.header)
	}
	if got := ask(t, "GET", base+"/api/state.json", "Origin", "https://other.example"); got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("pages of all origins may read")
	}
	for path, want := range map[string]int{"/debug/pprof/": 404, "/healthz": 200, "/readyz": 200, "/metrics": 404, "/v1/clusters": 404} {
		if got := ask(t, "GET", base+path); got.status != want {
			t.Errorf("%s: %d, want %d", path, got.status, want)
		}
	}
}
