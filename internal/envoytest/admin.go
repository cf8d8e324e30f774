package envoytest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"
)

const adminTimeout = 10 * time.Second

// WaitReady waits until Envoy says that it is ready.
func (e *Envoy) WaitReady(t testing.TB) {
	t.Helper()
	e.eventually(t, "become ready", func() error {
		_, err := e.admin(http.MethodGet, "/ready")
		return err
	})
}

// Get gives the answer of an admin endpoint, e.g. "/config_dump",
// "/clusters?format=json", "/stats?filter=upstream_rq".
func (e *Envoy) Get(t testing.TB, path string) string {
	t.Helper()
	return e.ask(t, http.MethodGet, path)
}

// Post calls an admin endpoint that changes something, e.g.
// "/drain_listeners?graceful", "/logging?level=debug".
func (e *Envoy) Post(t testing.TB, path string) string {
	t.Helper()
	return e.ask(t, http.MethodPost, path)
}

func (e *Envoy) ask(t testing.TB, method, path string) string {
	t.Helper()
	body, err := e.admin(method, path)
	if err != nil {
		t.Fatalf("Envoy's admin interface: %v", err)
	}
	return string(body)
}

// admin makes one request on a connection of its own, so that no idle one is
// left behind.
func (e *Envoy) admin(method, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, "http://"+e.Admin+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: %s: %.200s", method, path, response.Status, body)
	}
	return body, nil
}

// Stat gives a counter or a gauge, 0 when there is none of that name (Envoy
// makes many of them at their first use).
func (e *Envoy) Stat(t testing.TB, name string) uint64 {
	t.Helper()
	var answer struct {
		Stats []struct {
			Name  string
			Value json.RawMessage
		}
	}
	e.getJSON(t, "/stats?format=json", &answer)
	for _, one := range answer.Stats {
		if one.Name != name {
			continue
		}
		value, err := strconv.ParseUint(string(one.Value), 10, 64)
		if err != nil {
			t.Fatalf("stat %s: %v", name, err)
		}
		return value
	}
	return 0
}

// Listener gives the address, host:port, on which a listener takes
// connections: the way to know the port of one that was bound to port 0.
func (e *Envoy) Listener(t testing.TB, name string) string {
	t.Helper()
	var answer struct {
		Statuses []struct {
			Name  string `json:"name"`
			Local struct {
				Socket struct {
					Address string `json:"address"`
					Port    int    `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	e.getJSON(t, "/listeners?format=json", &answer)
	for _, one := range answer.Statuses {
		if one.Name == name {
			return net.JoinHostPort(one.Local.Socket.Address, strconv.Itoa(one.Local.Socket.Port))
		}
	}
	t.Fatalf("Envoy has no listener %q, only %v", name, answer.Statuses)
	return ""
}

func (e *Envoy) getJSON(t testing.TB, path string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(e.Get(t, path)), into); err != nil {
		t.Fatalf("Envoy's answer to %s: %v", path, err)
	}
}
