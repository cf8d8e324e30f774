package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/heddle-mesh/heddle/internal/heddletest"
)

// What clients of Sidecar's API read its answers into.
type (
	sidecarService struct {
		ID, Name, Image, Hostname, ProxyMode string
		Ports                                []struct {
			Type, IP          string
			Port, ServicePort int64
		}
		Created, Updated time.Time
		Status           int
	}
	sidecarServices struct {
		Services       map[string][]sidecarService
		ClusterMembers map[string]struct {
			Name         string
			ServiceCount int
			LastUpdated  time.Time
		}
		ClusterName string
	}
	sidecarState struct {
		Servers map[string]struct {
			Name                     string
			Services                 map[string]sidecarService
			LastUpdated, LastChanged time.Time
		}
		LastChanged           time.Time
		ClusterName, Hostname string
	}
	sidecarEvent struct {
		State       *sidecarState
		ChangeEvent struct {
			Service        sidecarService
			PreviousStatus int
			Time           time.Time
		}
	}
)

const (
	sidecarAlive    = 0
	sidecarDraining = 4
	agentToken      = "a token of the agents of this test"
)

// hook is a listener that is away for its first two posts, having read them.
type hook struct {
	mu     sync.Mutex
	tries  int            // guarded by mu
	faults []string       // guarded by mu
	last   time.Time      // guarded by mu; of the state told last
	told   map[string]int // guarded by mu; status by host/ID, told last
}

func (l *hook) take(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var event sidecarEvent
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &event)
	}
	if err != nil || event.State == nil || event.ChangeEvent.Service.ID == "" {
		l.faults = append(l.faults, fmt.Sprintf("a post of %q: %v", body, err))
		return
	}
	if l.tries++; l.tries <= 2 {
		http.Error(w, "not now", http.StatusBadGateway)
		return
	}
	if !event.State.LastChanged.After(l.last) {
		l.faults = append(l.faults, fmt.Sprintf("an event of %s after one of %s", event.State.LastChanged, l.last))
	}
	l.last = event.State.LastChanged
	one := event.ChangeEvent.Service
	l.told[one.Hostname+"/"+one.ID] = one.Status
}

func (l *hook) was(copyOf string, status int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if got, there := l.told[copyOf]; !there || got != status || l.tries <= 2 {
		return fmt.Errorf("after %d posts it knows %v", l.tries, l.told)
	}
	return nil
}

// agentAnswers reads an answer of a host's agent.
func (h *fleetHost) agentAnswers(path string, into any) error {
	got, err := ask(h.t, h.ip+":7777", h.ip, path)
	if err != nil {
		return err
	}
	if got.status != http.StatusOK {
		return fmt.Errorf("%s: %d %s", path, got.status, got.body)
	}
	return json.Unmarshal([]byte(got.body), into)
}

// drains asks a host's agent to drain a copy by Sidecar's API.
func (h *fleetHost) drains(method, id, token string) int {
	h.t.Helper()
	got, err := ask(h.t, h.ip+":7777", h.ip, "/api/services/"+id+"/drain", func(r *http.Request) {
		if r.Method = method; token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return got.status
}

// Clients of Sidecar's API read an agent's, a copy that is drained by it gets no more
// requests anywhere, and a listener that was away is told all.
func TestClientsOfSidecarAreServedByAnAgent(t *testing.T) {
	keys, tokens := filepath.Join(t.TempDir(), "keys"), filepath.Join(t.TempDir(), "tokens")
	for file, text := range map[string]string{keys: gossipKey(), tokens: agentToken + "\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	port, web, db := heddletest.FreePort(t), heddletest.FreePort(t), heddletest.FreePort(t)
	listener, at := &hook{told: map[string]int{}}, heddletest.Loopback(heddletest.FreePort(t))
	heddletest.Serve(t, at, listener.take)
	one := startHostWith(t, 41, keys, port, []string{"--api", "127.77.0.41:7777", "--api-token-file", tokens, "--listener-url", "http://" + at + "/"})
	two := startHostWith(t, 42, keys, port, []string{"--api", "127.77.0.42:7777"}, one)
	watch := one.watches()
	one.runs(hostService{Name: "web", Port: one.whoami("one"), ServicePort: web}, hostService{Name: "db", Port: one.whoami("db"), ServicePort: db, Mode: "tcp"})
	two.runs(hostService{Name: "web", Port: two.whoami("two"), ServicePort: web})
	two.reaches(web, "", "one", "two")

	var services sidecarServices
	heddletest.Eventually(t, "Sidecar's API to know both", func() error {
		services = sidecarServices{}
		if err := one.agentAnswers("/api/services.json", &services); err != nil {
			return err
		}
		if len(services.Services["web"]) != 2 || len(services.ClusterMembers) != 2 {
			return fmt.Errorf("%+v", services)
		}
		return nil
	})
	if c := services.Services["db"]; len(c) != 1 || c[0].Hostname != "host-41" || c[0].ProxyMode != "tcp" || c[0].Status != sidecarAlive || len(c[0].Ports) != 1 || c[0].Ports[0].IP != one.ip ||
		c[0].Ports[0].ServicePort != int64(db) || c[0].Updated.IsZero() || services.ClusterMembers["host-41"].ServiceCount != 2 {
		t.Errorf("services.json: %+v", services)
	}
	var state sidecarState
	if err := one.agentAnswers("/api/state.json", &state); err != nil || len(state.Servers) != 2 || state.Servers["host-42"].Services["web"].Name != "web" || state.Hostname != "host-41" || state.LastChanged.IsZero() {
		t.Errorf("state.json: %+v, %v", state, err)
	}

	for token, want := range map[string]int{"": http.StatusUnauthorized, "a token of somebody else": http.StatusUnauthorized} {
		if got := one.drains(http.MethodPost, "web", token); got != want {
			t.Errorf("drained with the token %q: %d", token, got)
		}
	}
	if got := two.drains(http.MethodPost, "web", agentToken); got != http.StatusForbidden {
		t.Errorf("drained where nobody may: %d", got)
	}
	if got := one.drains(http.MethodPost, "nothing", agentToken); got != http.StatusNotFound {
		t.Errorf("drained what is not there: %d", got)
	}
	two.reaches(web, "", "one", "two")
	if got := one.drains(http.MethodPost, "web", agentToken); got != http.StatusAccepted {
		t.Fatalf("it is not drained: %d", got)
	}
	two.reaches(web, "", "two")
	watch("web", "host-41", sidecarDraining)
	heddletest.Eventually(t, "the listener to know", func() error {
		return errors.Join(listener.was("host-41/web", sidecarDraining), listener.was("host-41/db", sidecarAlive), listener.was("host-42/web", sidecarAlive))
	})
	one.shownInATerminal()
	if got := one.drains(http.MethodDelete, "web", agentToken); got != http.StatusAccepted {
		t.Fatalf("it does not get requests again: %d", got)
	}
	two.reaches(web, "", "one", "two")
	watch("web", "host-41", sidecarAlive)
	for _, fault := range listener.faults {
		t.Error(fault)
	}
}

// watches follows a host's /api/watch; what it gives waits until a copy is said to have
// a status.
func (h *fleetHost) watches() func(name, host string, status int) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+h.ip+":7777/api/watch", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	answer, err := plainClient.Do(request)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		cancel()
		answer.Body.Close()
	})
	documents := json.NewDecoder(answer.Body)
	return func(name, host string, status int) {
		h.t.Helper()
		for {
			var services map[string][]sidecarService
			if err := documents.Decode(&services); err != nil {
				h.t.Fatalf("until %s on %s has the status %d: %v", name, host, status, err)
			}
			for _, one := range services[name] {
				if one.Hostname == host && one.Status == status {
					return
				}
			}
		}
	}
}

// shownInATerminal looks at what heddle hosts prints: it fits into 80 columns.
func (h *fleetHost) shownInATerminal() {
	h.t.Helper()
	for _, arguments := range []string{"hosts", "hosts services"} {
		command := exec.CommandContext(h.t.Context(), heddle.Path(h.t), append(strings.Fields(arguments), "--agent", "http://"+h.ip+":7777")...) //nolint:gosec // the program under test
		out, err := command.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "host-42") {
			h.t.Errorf("heddle %s: %v\n%s", arguments, err, out)
		}
		for line := range strings.Lines(string(out)) {
			if width := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); width > 80 {
				h.t.Errorf("heddle %s has a line of %d columns:\n%s", arguments, width, line)
			}
		}
	}
}
