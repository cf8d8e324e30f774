package test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// These tests hold heddle explain to what real Envoys do: meshes are made up from a
// seed, each request is sent, and its status and x-heddle-reason are compared with
// what explain says of it.

// posed is one request, and where it is sent.
type posed struct {
	from, to string
	address  string // of the caller's proxy; empty for TCP: its port for the service
	request  mesh.ExplainedRequest
}

// appSays is the header by which the application's answers are known.
const appSays = "X-App-Answers"

func answersItself(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set(appSays, "yes")
	_, _ = io.WriteString(w, "here")
}

// happened asks, and says what came: "arrives", a status and a reason, or "closed".
func (a *posed) happened(t *testing.T) string {
	t.Helper()
	got, err := ask(t, a.address, a.request.Host, "/", func(r *http.Request) {
		if a.request.Method != "" {
			r.Method = a.request.Method
		}
		path, query, _ := strings.Cut(a.request.Path, "?")
		r.URL.Opaque = path // as it is written, dots and escapes too
		r.URL.RawQuery = query
		for name, value := range a.request.Headers {
			r.Header.Set(name, value)
		}
	})
	switch {
	case err != nil:
		return "closed"
	case got.header.Get(appSays) != "":
		return "arrives"
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", got.status, got.header.Get("x-heddle-reason")))
}

// expected are the outcomes that an explanation allows.
func expected(e mesh.Explanation) []string {
	one := func(status int, reason, text string) string {
		switch {
		case strings.HasPrefix(text, "the answer of"): // another service's
			return "arrives"
		case status == 0:
			return "closed"
		}
		return strings.TrimSpace(fmt.Sprintf("%d %s", status, reason))
	}
	var out []string
	if e.Verdict != mesh.CallStopped { // nobody but the application decides what is uncertain here
		out = append(out, "arrives")
	}
	for _, step := range e.Steps {
		if step.ID == e.Stopped {
			out = append(out, one(step.Sees.Status, step.Sees.Reason, step.Sees.Text))
		}
	}
	for _, some := range e.Some {
		out = append(out, one(some.Status, some.Reason, some.Text))
	}
	return out
}

// agree sends all requests, a few at a time, and counts those that explain is wrong about.
func agree(t *testing.T, c *client.Client, all []posed) {
	t.Helper()
	started := time.Now()
	var wrong, outcomes sync.Map
	var running sync.WaitGroup
	next := make(chan int)
	for range 8 {
		running.Go(func() {
			for n := range next {
				a := &all[n]
				e, err := c.Explain(t.Context(), a.from, a.to, a.request)
				if err != nil {
					wrong.Store(n, fmt.Sprintf("%+v: %v", *a, err))
					continue
				}
				got := a.happened(t)
				outcomes.Store(got+" by "+e.Stopped, true)
				if !slices.Contains(expected(e), got) {
					wrong.Store(n, fmt.Sprintf("%s → %s %+v at %s: got %q, explain says %q: %s", a.from, a.to, a.request, a.address, got, expected(e), e.Summary))
				}
			}
		})
	}
	for n := range all {
		next <- n
	}
	close(next)
	running.Wait()
	wrong.Range(func(_, says any) bool { t.Error(says); return true })
	var kinds []string
	outcomes.Range(func(kind, _ any) bool { kinds = append(kinds, kind.(string)); return true })
	t.Logf("%d requests in %s; outcomes: %s", len(all), time.Since(started).Round(time.Millisecond), strings.Join(kinds, ", "))
}

// TestExplainAgreesWithEnvoy: a mesh without identities, made up.
func TestExplainAgreesWithEnvoy(t *testing.T) {
	t.Parallel()
	envoytest.Path(t)
	s := startServer(t)
	d := &dice{rand.New(rand.NewPCG(6, 2026))} //nolint:gosec // it has to give the same again
	apps := []string{app(t, answersItself), app(t, answersItself), app(t, answersItself)}
	callers := []mesh.Service{service("web", mesh.HTTP, "last"), service("shop", mesh.HTTP, "last")}
	var callees, tcp []mesh.ServiceName
	for n := range 40 {
		name := mesh.ServiceName(fmt.Sprintf("callee-%d", n))
		callees = append(callees, name)
		for i := range callers {
			if d.one(4) > 0 {
				callers[i].Dependencies = append(callers[i].Dependencies, name)
			}
		}
		if d.one(8) == 0 {
			continue // pending
		}
		callee := d.service(name)
		if callee.Protocol == mesh.TCP {
			callee.Port = mesh.Port(1000 + n)
			tcp = append(tcp, name)
		}
		s.declare(callee)
		for i, address := range apps[:d.one(4)] {
			s.register(string(name), fmt.Sprint(i), address, d.instance)
		}
		if d.one(2) == 0 {
			s.route(d.route(n, name))
		}
	}
	s.declare(append(callers, service("last", mesh.HTTP))...)
	s.register("last", "1", apps[0])
	s.route(route("zlast", "last.example.com", "last"))

	edge := startGateway(t, s)
	var all []posed
	for _, caller := range callers {
		name := string(caller.Name)
		side := startSidecar(t, s, name, name+"-1", "", proxy.Delta, tcp...)
		side.wants(t, "last", "/", http.StatusOK, "here") // so it has all that was declared before
		for _, callee := range callees {
			if port := side.ports[callee]; port != "" && slices.Contains(caller.Dependencies, callee) {
				all = append(all, posed{from: name, to: string(callee), address: port})
			}
			for range 3 {
				all = append(all, posed{name, string(callee), side.outbound, d.request(callee)})
			}
		}
	}
	edge.wants("last.example.com", "/", http.StatusOK, "here")
	for n, callee := range callees {
		for range 2 {
			r := d.request(callee)
			r.Host, r.Scheme = fmt.Sprintf("host-%d.example.com", n), "http"
			if d.one(5) == 0 {
				r.Host = "HOST-" + fmt.Sprint(d.one(40)) + ".example.com:80"
			}
			all = append(all, posed{"gateway/edge", string(callee), edge.http, r})
		}
	}
	if len(all) < 300 {
		t.Errorf("only %d requests", len(all))
	}
	agree(t, s.client, all)
}
