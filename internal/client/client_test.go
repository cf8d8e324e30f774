package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The client against the real server is tested in internal/server; here are the
// answers that a real server does not give on demand.
func serve(t *testing.T, handler http.HandlerFunc) *client.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	c, err := client.New(client.Config{Address: server.URL, Token: "hdl_x_y"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); server.Close() })
	return c
}

func TestAddressThatIsNoURL(t *testing.T) {
	for _, address := range []string{"ftp://x", "http://", "http://user@x", "http://x?y", "http://[::1", "http://x y"} {
		if _, err := client.New(client.Config{Address: address}); err == nil {
			t.Errorf("%q was taken", address)
		}
	}
	for _, address := range []string{"", "127.0.0.1:7080", "http://x/", "https://x/behind/a/prefix"} {
		if _, err := client.New(client.Config{Address: address}); err != nil {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// The first write of the runtime layer undoes no one else's.
func TestCreateRuntimeIsConditional(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut || r.URL.Path != "/api/v1/runtime" || r.Header.Get("If-None-Match") != "*" || r.Header.Get("If-Match") != "" {
			t.Errorf("%s %s, headers %v", r.Method, r.URL.Path, r.Header)
		}
		w.WriteHeader(http.StatusConflict)
	})
	_, err := c.CreateRuntime(t.Context(), mesh.Runtime{Values: map[string]any{}, Meta: mesh.Meta{Revision: 3}})
	if mesh.KindOf(err) != mesh.KindConflict {
		t.Errorf("got %v", err)
	}
}

func TestNobodyListens(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	c, err := client.New(client.Config{Address: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Services(t.Context())
	if mesh.KindOf(err) != mesh.KindUnavailable || !strings.Contains(err.Error(), "heddle server") {
		t.Errorf("got %v", err)
	}
	if err := c.Events(t.Context(), 0, func(client.Event) error { return nil }); mesh.KindOf(err) != mesh.KindUnavailable {
		t.Errorf("events: got %v", err)
	}
}

// A load balancer that sends everything on to https makes GETs of writes.
func TestARedirectedWriteIsNoSuccess(t *testing.T) {
	asked := ""
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.URL.Path
		fmt.Fprint(w, "{}")
	}))
	defer elsewhere.Close()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusMovedPermanently)
	})
	_, changed := c.PutService(t.Context(), mesh.Service{Name: "orders"})
	deleted := c.DeleteService(t.Context(), "orders", 0)
	followed := c.Events(t.Context(), 0, func(client.Event) error { return nil })
	for what, err := range map[string]error{"change": changed, "deletion": deleted, "stream": followed} {
		if mesh.KindOf(err) != mesh.KindUnavailable || !strings.Contains(err.Error(), elsewhere.URL) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if asked != "" {
		t.Errorf("the redirect was followed: %s", asked)
	}
}

func TestAnswerOfAnotherServer(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<html>hello</html>") })
	if _, err := c.Services(t.Context()); err == nil || mesh.KindOf(err) != "" {
		t.Errorf("got %v", err)
	}
	if err := c.Events(t.Context(), 0, func(client.Event) error { return nil }); err == nil || !strings.Contains(err.Error(), "not a stream") {
		t.Errorf("events: got %v", err)
	}
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Error(w, "upstream down", http.StatusBadGateway) })
	if _, err := proxy.Services(t.Context()); mesh.KindOf(err) != mesh.KindUnavailable {
		t.Errorf("502: got %v", err)
	}
}

func TestNamesStayInTheirSegment(t *testing.T) {
	var seen string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r.URL.EscapedPath()
		w.WriteHeader(http.StatusNoContent)
	})
	for name, want := range map[mesh.ServiceName]string{
		"a/b": "/api/v1/services/a%2Fb", "..": "/api/v1/services/%2E.", "a?b": "/api/v1/services/a%3Fb", "é\x00": "/api/v1/services/%C3%A9%00",
	} {
		if err := c.DeleteService(t.Context(), name, 0); err != nil || seen != want {
			t.Errorf("%q: asked for %s, want %s (%v)", name, seen, want, err)
		}
	}
	if err := c.DeleteService(t.Context(), "", 0); mesh.KindOf(err) != mesh.KindInvalid {
		t.Errorf("an empty name: got %v", err)
	}
}

func TestEventsGoOnBehindTheLastWholeRevision(t *testing.T) {
	var asked []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Query().Get("since"))
		w.Header().Set("Content-Type", "text/event-stream")
		switch len(asked) {
		case 1: // breaks in the middle of revision 8
			fmt.Fprint(w, ": hello\n\nid: 7\nevent: change\ndata: {\"type\":\"change\",\"revision\":7}\n\nevent: change\ndata: {\"type\":\"change\",\"revision\":8}\n\n")
		default:
			fmt.Fprint(w, "data: {\"type\":\"change\",\ndata: \"revision\":8}\nid: 8\n\nid: 9\ndata: {\"type\":\"change\",\"revision\":9}\n\n")
		}
	})
	done := errors.New("seen enough")
	var got []int64
	err := c.Events(t.Context(), 3, func(e client.Event) error {
		got = append(got, e.Revision)
		if e.Revision == 9 {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) || fmt.Sprint(got) != "[7 8 8 9]" || fmt.Sprint(asked) != "[3 7]" {
		t.Errorf("got %v, asked since %v: %v", got, asked, err)
	}
}

func TestEventsEndWithTheContext(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: {\"type\":\"reset\"}\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	err := c.Events(ctx, 0, func(client.Event) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
