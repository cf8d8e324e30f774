package ui_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/heddle-mesh/heddle/internal/calltest"
	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
	"github.com/heddle-mesh/heddle/internal/server"
	"github.com/heddle-mesh/heddle/internal/server/session"
	"github.com/heddle-mesh/heddle/internal/server/ui"
)

// TestMain starts no browser: the first test that needs one does.
func TestMain(m *testing.M) {
	code := m.Run()
	theBrowser.stop()
	if err := goleak.Find(); code == 0 && err != nil {
		println(err.Error())
		code = 1
	}
	os.Exit(code)
}

// site is a whole server with pages: real etcd, catalog, HTTP over TCP. A test
// writes with its methods, or with store; it looks through a tab, or with call.
type site struct {
	t       *testing.T
	etcd    *registry.Embedded
	store   *registry.Store
	catalog *catalog.Catalog
	applied bell // rings when the catalog knows more
	url     string
	admin   string // token
	http    *http.Client

	mu      sync.Mutex
	cookies map[string]string // guarded by mu; of those who have signed in, by their tokens
}

// by is the server itself: it may write everything.
var by = registry.Write{Author: "token:0123456789ab", Source: "rest"}

func newSite(t *testing.T, change ...func(*ui.Config)) *site {
	t.Helper()
	etcd, err := registry.StartEmbedded(t.Context(), registry.EmbeddedConfig{NoSync: true, DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	store, err := etcd.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = store.Close()
		etcd.Close()
	})
	admin, err := store.EnsureAdminToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, store, admin, change...)
	s.etcd = etcd
	return s
}

// newSiteOn is another server of the same mesh.
func newSiteOn(t *testing.T, first *site, change ...func(*ui.Config)) *site {
	t.Helper()
	return serve(t, first.store, first.admin, change...)
}

func serve(t *testing.T, store *registry.Store, admin string, change ...func(*ui.Config)) *site {
	t.Helper()
	s := &site{t: t, store: store, admin: admin, catalog: catalog.New(catalog.Config{}), http: &http.Client{Transport: &http.Transport{}}, cookies: map[string]string{}}
	var api *server.Server
	cfg := ui.Config{
		Registry: store, Catalog: s.catalog, Sessions: session.New(session.Config{Registry: store}), Version: "test",
		Mesh: func() insight.Mesh { return insight.Mesh{View: s.catalog.View(), Now: time.Now()} },
		Problems: func() []ui.Problem {
			var out []ui.Problem
			for _, one := range api.Problems() {
				out = append(out, ui.Problem(one))
			}
			return out
		},
	}
	for _, one := range change {
		one(&cfg)
	}
	pages, err := ui.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if api, err = server.New(server.Config{Registry: store, Catalog: s.catalog, UI: pages, RequireReadToken: cfg.RequireReadToken}); err != nil {
		t.Fatal(err)
	}
	watching, stopWatch := context.WithCancel(context.Background())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		store.Watch(watching, registry.WatchConfig{}, func(b registry.Batch) {
			s.catalog.Apply(b.Revision, b.Synced, b.Changes)
			s.applied.ring()
		})
	}()
	listener := httptest.NewUnstartedServer(nil)
	listener.Config = api.HTTPServer()
	listener.Start()
	s.url = listener.URL
	t.Cleanup(func() {
		api.Close()
		s.http.CloseIdleConnections()
		listener.CloseClientConnections()
		listener.Close()
		stopWatch()
		<-watched
	})
	s.seen()
	return s
}

// seen waits until the catalog knows everything written so far.
func (s *site) seen() {
	s.t.Helper()
	_, revision, err := s.store.Routes(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	late := time.After(10 * time.Second)
	for {
		applied := s.applied.heard()
		if view := s.catalog.View(); view.Synced() && view.Revision() >= revision {
			return
		}
		select {
		case <-applied:
		case <-late:
			s.t.Fatal("the catalog does not catch up")
		}
	}
}

// bell tells all who listen that something has happened.
type bell struct {
	mu   sync.Mutex
	next chan struct{} // guarded by mu; nil: nobody listens
}

// heard is closed when the bell rings next.
func (b *bell) heard() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil {
		b.next = make(chan struct{})
	}
	return b.next
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next != nil {
		close(b.next)
		b.next = nil
	}
}

// declare puts services; what they leave out is an http service on 8080 that
// calls nothing and belongs to team-shop.
func (s *site) declare(services ...mesh.Service) {
	s.t.Helper()
	for _, one := range services {
		if one.Owner == "" {
			one.Owner = "team-shop"
		}
		if one.Protocol == "" {
			one.Protocol = mesh.HTTP
		}
		if one.Port == 0 {
			one.Port = 8080
		}
		if one.Dependencies == nil {
			one.Dependencies = []mesh.ServiceName{}
		}
		if faults := one.Validate(); len(faults) > 0 {
			s.t.Fatal(faults)
		}
		if _, err := s.store.PutService(s.t.Context(), one, by); err != nil {
			s.t.Fatal(err)
		}
	}
	s.seen()
}

// register adds instances with a lease of an hour.
func (s *site) register(instances ...mesh.Instance) {
	s.t.Helper()
	if _, err := s.store.Register(s.t.Context(), instances, time.Hour, by); err != nil {
		s.t.Fatal(err)
	}
	s.seen()
}

// token makes an access token and gives its secret.
func (s *site) token(token registry.Token) string {
	s.t.Helper()
	_, secret, err := s.store.CreateToken(s.t.Context(), token, registry.Write{Author: "test"})
	if err != nil {
		s.t.Fatal(err)
	}
	return secret
}

// reply is an answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

// call sends a request as given, and follows no redirects; headers are "Name: value".
func (s *site) call(method, path, body string, headers ...string) reply {
	s.t.Helper()
	status, header, text := calltest.Send(s.t, s.http.Transport, method, s.url+path, body, headers...)
	return reply{status, header, text}
}

// cookie is that of somebody who signed in with a token, as a header; "": of nobody.
func (s *site) cookie(token string) string {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if token != "" && s.cookies[token] == "" {
		got := s.call(http.MethodPost, "/ui/sign-in", url.Values{"token": {token}}.Encode(), "Content-Type: application/x-www-form-urlencoded")
		set := got.header.Get("Set-Cookie")
		if got.status != http.StatusSeeOther || !strings.HasPrefix(set, "heddle_session=") {
			s.t.Fatalf("signing in: %d %s", got.status, got.body)
		}
		s.cookies[token], _, _ = strings.Cut(set, ";")
	}
	return "Cookie: " + s.cookies[token]
}

// get is call for a page, by somebody with a token if there is one.
func (s *site) get(token, path string) reply {
	s.t.Helper()
	return s.call(http.MethodGet, path, "", s.cookie(token))
}

// post sends a form as a browser does; fields are name, value, name, value.
func (s *site) post(token, path string, fields ...string) reply {
	s.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return s.call(http.MethodPost, path, form.Encode(), "Content-Type: application/x-www-form-urlencoded", "Origin: "+s.url, "Sec-Fetch-Site: same-origin", s.cookie(token))
}
