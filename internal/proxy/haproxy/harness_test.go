package haproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// side is a runner with a catalog of its own and the real HAProxy.
type side struct {
	t        testing.TB
	catalog  *catalog.Catalog
	revision int64
	services map[mesh.ServiceName]mesh.Service
	port     mesh.Port
	log      *logged
	status   atomic.Pointer[proxy.Status]
	problems atomic.Pointer[[]proxy.Problem] // told last
	parent   string                          // of its folder
	end      func() error
}

// logged keeps what is logged, for tests that read it.
type logged struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newSide(t testing.TB) *side {
	s := &side{t: t, catalog: catalog.New(catalog.Config{}), services: map[mesh.ServiceName]mesh.Service{}, port: heddletest.FreePort(t), log: &logged{}}
	var err error
	if s.parent, err = os.MkdirTemp("", "h"); err != nil { // t.TempDir is too long for sockets
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(s.parent) })
	t.Setenv("TMPDIR", s.parent)
	s.apply(nil)
	return s
}

// run starts it, and waits until it serves.
func (s *side) run(adjust func(*Config)) {
	s.t.Helper()
	cfg := Config{
		Catalog: s.catalog, Host: host, Port: s.port, HAProxy: binary(s.t), DrainTimeout: 3 * time.Second,
		Report:   func(status proxy.Status) { s.status.Store(&status) },
		Problems: func(list []proxy.Problem) { s.problems.Store(&list) },
		Logger:   slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if adjust != nil {
		adjust(&cfg)
	}
	r, err := New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	s.end = sync.OnceValue(func() error { cancel(); return <-ended })
	s.t.Cleanup(func() {
		if err := s.end(); err != nil {
			s.t.Error(err)
		}
		if left, _ := filepath.Glob(filepath.Join(s.parent, "heddle-proxy-*")); len(left) > 0 {
			s.t.Errorf("left behind: %v", left)
		}
		if s.t.Failed() {
			s.t.Logf("the log:\n%s", s.log)
		}
	})
	s.eventually("HAProxy to serve", func() error {
		if s.status.Load() == nil {
			return errors.New("no report")
		}
		return nil
	})
}

// tells waits until all that HAProxy does not do is one problem of a service, which says so.
func (s *side) tells(service mesh.ServiceName, port mesh.Port, says string) {
	s.t.Helper()
	s.eventually("HAProxy to tell of "+says, func() error {
		list := s.problems.Load()
		if list == nil || len(*list) != 1 || (*list)[0].Service != service || (*list)[0].Port != port || !strings.Contains((*list)[0].Message, says) {
			return fmt.Errorf("problems: %+v", list)
		}
		return nil
	})
}

// tellsNothing waits until nothing is wrong.
func (s *side) tellsNothing() {
	s.t.Helper()
	s.eventually("HAProxy to tell of nothing", func() error {
		if list := s.problems.Load(); list == nil || len(*list) > 0 {
			return fmt.Errorf("problems: %+v", list)
		}
		return nil
	})
}

func (s *side) eventually(what string, attempt func() error) {
	s.t.Helper()
	heddletest.Eventually(s.t, what, attempt)
}

func (s *side) apply(list []mesh.Change) {
	s.revision++
	if s.revision > 1 && !slices.ContainsFunc(list, func(c mesh.Change) bool { return c.Service != nil }) {
		s.catalog.Apply(s.revision, true, list)
		return
	}
	own := &mesh.Service{Name: host, Protocol: mesh.HTTP, Port: 1}
	for name := range s.services {
		own.Dependencies = append(own.Dependencies, name)
	}
	s.catalog.Apply(s.revision, true, append(list, mesh.Change{Service: own}))
}

// declare adds or changes services.
func (s *side) declare(services ...mesh.Service) {
	var list []mesh.Change
	for _, one := range services {
		s.services[one.Name] = one
		list = append(list, mesh.Change{Service: &one})
	}
	s.apply(list)
}

// has registers a copy, or changes it.
func (s *side) has(one mesh.Instance) { s.apply([]mesh.Change{{Instance: &one}}) }

// without takes a copy away, as its owner does.
func (s *side) without(one mesh.Instance) {
	gone := one
	gone.Health = mesh.Removed
	s.apply([]mesh.Change{{Instance: &gone}, {Instance: &one, Deleted: true}})
}

// whoami is a copy that answers with its name.
func (s *side) whoami(service mesh.ServiceName, id mesh.InstanceID) mesh.Instance {
	s.t.Helper()
	port := heddletest.FreePort(s.t)
	heddletest.Serve(s.t, heddletest.Loopback(port), func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, id) })
	return copyAt(service, id, "127.0.0.1", port)
}

// processes asks the master, which does not answer while it reloads.
func (s *side) processes() (now processes) {
	s.t.Helper()
	s.eventually("the master to answer", func() (err error) {
		folders, _ := filepath.Glob(filepath.Join(s.parent, "heddle-proxy-*"))
		now, err = showProcesses(context.Background(), filepath.Join(strings.Join(folders, ""), masterSocket))
		if err == nil && len(now.workers) == 0 {
			err = errors.New("no worker")
		}
		return err
	})
	return now
}

func (s *side) file() string {
	s.t.Helper()
	files, _ := filepath.Glob(filepath.Join(s.parent, "heddle-proxy-*", configFile))
	body, err := os.ReadFile(strings.Join(files, ""))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(body)
}

// get asks at a port, for a host.
func get(ctx context.Context, client *http.Client, port mesh.Port, name string) (int, string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+heddletest.Loopback(port)+"/", nil)
	if err != nil {
		return 0, "", err
	}
	request.Host = name
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// answer is what a new connection gets.
func (s *side) answer(port mesh.Port, name string) (int, string) {
	s.t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	status, body, err := get(context.Background(), &http.Client{Transport: transport, Timeout: 10 * time.Second}, port, name)
	if err != nil {
		return 0, err.Error()
	}
	return status, body
}

// reaches waits until calls get to these copies alone.
func (s *side) reaches(port mesh.Port, name string, want ...string) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("%q at %d to reach %v", name, port, want), func() error {
		seen := map[string]int{}
		for range 3 * len(want) {
			_, body := s.answer(port, name)
			seen[body]++
		}
		if len(seen) != len(want) {
			return fmt.Errorf("%v answered", seen)
		}
		for _, one := range want {
			if seen[one] == 0 {
				return fmt.Errorf("%v answered", seen)
			}
		}
		return nil
	})
}

// load asks without a pause, half of the callers by a new connection each time.
type load struct {
	asked, failed atomic.Int64
	first         atomic.Pointer[string]
	stop          func()
}

func (s *side) load(port mesh.Port, name string) *load {
	l := &load{}
	ctx, cancel := context.WithCancel(context.Background())
	var callers sync.WaitGroup
	for i := range 4 {
		callers.Go(func() {
			transport := &http.Transport{DisableKeepAlives: i%2 == 0}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
			for ctx.Err() == nil {
				status, body, err := get(context.WithoutCancel(ctx), client, port, name)
				l.asked.Add(1)
				if err != nil || status != http.StatusOK {
					text := fmt.Sprint(status, " ", body, " ", err)
					l.first.CompareAndSwap(nil, &text)
					l.failed.Add(1)
				}
			}
		})
	}
	l.stop = func() { cancel(); callers.Wait() }
	s.t.Cleanup(l.stop)
	return l
}

func (l *load) more(t *testing.T, n int64) {
	t.Helper()
	before := l.asked.Load()
	heddletest.Eventually(t, "more load", func() error {
		if l.asked.Load() < before+n {
			return errors.New("not yet")
		}
		return nil
	})
}

func (l *load) endsWithoutFailure(t *testing.T) {
	t.Helper()
	l.stop()
	if n := l.failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed, the first by %s", n, l.asked.Load(), *l.first.Load())
	}
	t.Logf("%d requests", l.asked.Load())
}

func web(name mesh.ServiceName, port mesh.Port) mesh.Service {
	return mesh.Service{Name: name, Protocol: mesh.HTTP, Port: 80, ListenerPort: port}
}

// echo is a copy that speaks TCP: it says its name, and what it hears.
func (s *side) echo(service mesh.ServiceName, id mesh.InstanceID) mesh.Instance {
	s.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				fmt.Fprintln(conn, id)
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return copyAt(service, id, "127.0.0.1", mesh.Port(listener.Addr().(*net.TCPAddr).Port))
}

// zombie says whether a process has ended, and nobody has asked how.
func zombie(pid int) bool {
	body, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(body), ") ")
	return strings.HasPrefix(rest, "Z")
}

// script is a program that stands before HAProxy.
func script(t *testing.T, lines string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "haproxy")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+lines+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

// signal has HAProxy reload, as an operator might, and waits until it has.
func (s *side) signal() {
	s.t.Helper()
	before := s.processes()
	if err := syscall.Kill(s.status.Load().PID, syscall.SIGUSR2); err != nil {
		s.t.Fatal(err)
	}
	s.eventually("a reload", func() error {
		if now := s.processes(); now.reloads != before.reloads+1 || now.workers[0] == before.workers[0] {
			return fmt.Errorf("%+v", now)
		}
		return nil
	})
}

// counting counts the connections that it takes.
type counting struct {
	net.Listener
	n atomic.Int64
}

// Accept is the listener's.
func (c *counting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.n.Add(1)
	}
	return conn, err
}

func (c *counting) accepted() int64 { return c.n.Load() }
