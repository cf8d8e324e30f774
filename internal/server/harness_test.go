package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"

	"github.com/heddle-mesh/heddle/internal/calltest"
	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
	"github.com/heddle-mesh/heddle/internal/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a whole server: real etcd, catalog, HTTP over TCP.
type world struct {
	t        *testing.T
	etcd     *registry.Embedded
	store    *registry.Store
	catalog  *catalog.Catalog
	server   *server.Server
	url      string
	admin    string // token
	http     *http.Client
	stopEtcd func()
}

func newWorld(t *testing.T, change ...func(*server.Config)) *world {
	t.Helper()
	etcd, err := registry.StartEmbedded(t.Context(), registry.EmbeddedConfig{NoSync: true, DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	store, err := etcd.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, etcd: etcd, store: store, catalog: catalog.New(catalog.Config{}), http: &http.Client{Transport: &http.Transport{}}}
	w.admin, err = store.EnsureAdminToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cfg := server.Config{Registry: store, Catalog: w.catalog, Version: "test"}
	for _, one := range change {
		one(&cfg)
	}
	w.server, err = server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	watching, stopWatch := context.WithCancel(context.Background())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		store.Watch(watching, registry.WatchConfig{}, func(b registry.Batch) { w.catalog.Apply(b.Revision, b.Synced, b.Changes) })
	}()
	listener := httptest.NewUnstartedServer(nil)
	listener.Config = w.server.HTTPServer()
	listener.Start()
	w.url = listener.URL
	stopped := false
	w.stopEtcd = func() {
		if !stopped {
			stopped = true
			etcd.Close()
		}
	}
	t.Cleanup(func() {
		w.server.Close()
		w.http.CloseIdleConnections()
		listener.Close()
		stopWatch()
		<-watched
		_ = store.Close()
		w.stopEtcd()
	})
	w.eventually("the catalog is synced", func() bool { return w.catalog.View().Synced() })
	return w
}

// eventually polls for something that is about to happen.
func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			w.t.Fatalf("it did not happen: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// seen waits until the catalog knows everything written so far.
func (w *world) seen() {
	w.t.Helper()
	_, revision, err := w.store.Routes(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	w.eventually("the catalog catches up", func() bool { return w.catalog.View().Revision() >= revision })
}

func (w *world) client(token string) *client.Client {
	w.t.Helper()
	c, err := client.New(client.Config{Address: w.url, Token: token, HTTPClient: w.http})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// reply is an answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

// problem reads a refusal; anything else fails the test.
func (r reply) problem(t *testing.T) (p struct {
	Title, Detail string
	Status        int
	Errors        []mesh.Fault
	Revision      int64
	Reason        mesh.Reason
},
) {
	t.Helper()
	if got := r.header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("Content-Type %q, body %s", got, r.body)
	}
	if err := json.Unmarshal([]byte(r.body), &p); err != nil {
		t.Fatalf("%v: %s", err, r.body)
	}
	if p.Status != r.status || p.Title == "" || p.Detail == "" {
		t.Fatalf("status %d, problem %s", r.status, r.body)
	}
	return p
}

// call sends a request as given; headers are "Name: value".
func (w *world) call(method, path, body string, headers ...string) reply {
	w.t.Helper()
	status, header, text := calltest.Send(w.t, w.http.Transport, method, w.url+path, body, headers...)
	return reply{status, header, text}
}

// write is call with the admin's token.
func (w *world) write(method, path, body string, headers ...string) reply {
	w.t.Helper()
	return w.call(method, path, body, append(headers, "Authorization: Bearer "+w.admin)...)
}

func (w *world) declare(body string) {
	w.t.Helper()
	if got := w.write("POST", "/api/v1/services", body); got.status != http.StatusCreated {
		w.t.Fatalf("%d %s", got.status, got.body)
	}
}

// putRaw writes a value past the registry, as another program could.
func (w *world) putRaw(key, value string) {
	w.t.Helper()
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{w.etcd.Endpoint()}})
	if err != nil {
		w.t.Fatal(err)
	}
	defer etcd.Close()
	if _, err := etcd.Put(w.t.Context(), key, value); err != nil {
		w.t.Fatal(err)
	}
}

// value reads one past the registry; "": there is none.
func (w *world) value(key string) string {
	w.t.Helper()
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{w.etcd.Endpoint()}})
	if err != nil {
		w.t.Fatal(err)
	}
	defer etcd.Close()
	got, err := etcd.Get(w.t.Context(), key)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(got.Kvs) == 0 {
		return ""
	}
	return string(got.Kvs[0].Value)
}

// get asks a handler without a network.
func get(t *testing.T, handler http.Handler, path string) reply {
	t.Helper()
	out := httptest.NewRecorder()
	handler.ServeHTTP(out, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1"+path, nil))
	return reply{out.Code, out.Header(), out.Body.String()}
}
