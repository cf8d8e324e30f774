package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/lease/leasetest"
	"github.com/heddle-mesh/heddle/internal/logtest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

const patience = 30 * time.Second

// sidecar is a Runner under test, with all that it needs around it.
type sidecar struct {
	registrar *leasetest.Registrar
	log       *logtest.Buffer
	hurry     chan struct{}
	stop      context.CancelFunc // what SIGTERM does
	done      chan struct{}      // closed when Run has returned
	err       error              // what it returned; read it once done is closed

	mu     sync.Mutex
	status proxy.Status // guarded by mu
}

// newConfig is a sidecar of orders in front of an application.
func newConfig(t *testing.T, plane *controlPlane, appPort uint32) proxy.Config {
	t.Helper()
	return proxy.Config{
		Bootstrap: proxy.BootstrapConfig{
			Proxy: mesh.Proxy{Service: "orders", Instance: "orders-1", AppPort: mesh.Port(appPort), OutboundPort: mesh.Port(freePort(t))},
			XDS:   []string{plane.address},
		},
		Envoy: envoytest.Path(t), Concurrency: 1, AdvertiseAddress: "127.0.0.1",
		TTL: 2 * time.Second, Propagation: 100 * time.Millisecond,
	}
}

func run(t *testing.T, config proxy.Config) *sidecar {
	t.Helper()
	s := &sidecar{registrar: &leasetest.Registrar{}, log: &logtest.Buffer{}, hurry: make(chan struct{}), done: make(chan struct{})}
	if config.Registrar == nil {
		config.Registrar = s.registrar
	} else if fake, ok := config.Registrar.(*leasetest.Registrar); ok {
		s.registrar = fake
	}
	config.Hurry, config.Logger = s.hurry, slog.New(slog.NewTextHandler(s.log, nil))
	config.Report = func(status proxy.Status) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.status = status
	}
	runner, err := proxy.New(config)
	if err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	go func() {
		defer close(s.done)
		s.err = runner.Run(ctx)
	}()
	t.Cleanup(func() {
		s.stop()
		_ = s.wait(t)
		if t.Failed() {
			t.Logf("log:\n%s", s.log)
		}
	})
	return s
}

// wait waits until Run has returned, and gives its error.
func (s *sidecar) wait(t *testing.T) error {
	t.Helper()
	select {
	case <-s.done:
		return s.err
	case <-time.After(patience):
		t.Fatalf("Run does not return\n%s", s.log)
		return nil
	}
}

func (s *sidecar) lastStatus() proxy.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// serving waits until another Envoy than the one with this pid serves.
func (s *sidecar) serving(t *testing.T, otherThan int) proxy.Status {
	t.Helper()
	eventually(t, "the sidecar to serve", func() error {
		select {
		case <-s.done:
			t.Fatalf("Run returned: %v\n%s", s.err, s.log)
		default:
		}
		if pid := s.lastStatus().PID; pid == otherThan {
			return fmt.Errorf("its Envoy is still %d\n%s", pid, s.log)
		}
		return nil
	})
	return s.lastStatus()
}

func eventually(t *testing.T, what string, attempt func() error) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := attempt()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %s for %s: %v", patience, what, err)
		}
	}
}

// gone waits until no process has this id any more; a dead one that nobody has
// waited for does not count.
func gone(t *testing.T, pid int) {
	t.Helper()
	eventually(t, fmt.Sprintf("process %d to be gone", pid), func() error {
		if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
			return nil
		}
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && strings.Contains(string(stat), ") Z ") {
			return nil
		}
		return errors.New("it is there")
	})
}

// application answers at once, or on /slow when released.
type application struct {
	port    uint32
	entered chan struct{} // gets one for each /slow that has come in
	release chan struct{} // closed: /slow answers
}

func startApplication(t *testing.T) *application {
	t.Helper()
	app := &application{entered: make(chan struct{}, 16), release: make(chan struct{})}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			app.entered <- struct{}{}
			select {
			case <-app.release:
			case <-r.Context().Done():
			}
		}
		fmt.Fprint(w, "hello")
	}))
	t.Cleanup(server.Close)
	if _, err := fmt.Sscanf(server.URL, "http://127.0.0.1:%d", &app.port); err != nil {
		t.Fatal(err)
	}
	return app
}

// get makes one call on a connection of its own.
func get(target string) (string, error) {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(target)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return string(body), err
}
