package haproxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// reload adds a service, and waits for the reload.
func (s *side) reload(name mesh.ServiceName) {
	s.t.Helper()
	before := s.processes().reloads
	s.declare(web(name, 0))
	s.has(s.whoami(name, mesh.InstanceID(name)))
	s.reaches(s.port, string(name), string(name))
	if now := s.processes().reloads; now != before+1 {
		s.t.Fatalf("%d reloads, before %d", now, before)
	}
}

// says sends a line over a connection and expects it back.
func says(t *testing.T, conn net.Conn, from *bufio.Reader, line string) {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintln(conn, line); err != nil {
		t.Fatal(err)
	}
	got, err := from.ReadString('\n')
	if err != nil || got != line+"\n" {
		t.Fatalf("%q, %v", got, err)
	}
}

// A connection of TCP and a WebSocket outlive a reload, and that their copy is drained.
func TestTunnelsOutliveReloads(t *testing.T) {
	s := newSide(t)
	tcp, socket := heddletest.FreePort(t), heddletest.FreePort(t)
	upgrading := heddletest.FreePort(t)
	heddletest.Serve(t, heddletest.Loopback(upgrading), func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" {
			http.Error(w, "no upgrade", http.StatusBadRequest)
			return
		}
		conn, both, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
		_, _ = io.Copy(conn, both)
	})
	s.declare(mesh.Service{Name: "db", Protocol: mesh.TCP, Port: tcp, ListenerPort: tcp}, web("chat", socket))
	db, chat := s.echo("db", "db"), copyAt("chat", "chat", "127.0.0.1", upgrading)
	s.has(db)
	s.has(chat)
	s.run(nil)

	var tunnels []net.Conn
	var readers []*bufio.Reader
	for _, port := range []mesh.Port{tcp, socket} {
		conn, err := net.Dial("tcp", heddletest.Loopback(port))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		tunnels, readers = append(tunnels, conn), append(readers, bufio.NewReader(conn))
	}
	if name, err := readers[0].ReadString('\n'); err != nil || name != "db\n" {
		t.Fatalf("%q, %v", name, err)
	}
	fmt.Fprint(tunnels[1], "GET / HTTP/1.1\r\nHost: chat\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	response, err := http.ReadResponse(readers[1], nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", response, err)
	}
	response.Body.Close()
	speak := func(when string) {
		for i, conn := range tunnels {
			says(t, conn, readers[i], fmt.Sprint(when, i))
		}
	}
	speak("at first")
	s.reload("one-more")
	speak("after a reload")
	db.Health, chat.Health = mesh.Draining, mesh.Draining
	s.has(db)
	s.has(chat)
	s.eventually("new calls to be refused", func() error {
		if status, body := s.answer(socket, ""); !strings.Contains(body, "no copy of service chat is ready") {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
	speak("drained")
	s.reload("another")
	speak("after another reload")
	s.without(db)
	s.without(chat)
	speak("gone")
}

// gRPC goes through at the service's port and by its name, and its calls share connections
// to the copy.
func TestGRPC(t *testing.T) {
	s := newSide(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	counted := &counting{Listener: listener}
	server := grpc.NewServer()
	state := health.NewServer()
	healthv1.RegisterHealthServer(server, state)
	go func() { _ = server.Serve(counted) }()
	t.Cleanup(server.Stop)
	at := heddletest.FreePort(t)
	s.declare(mesh.Service{Name: "calls", Protocol: mesh.GRPC, Port: 80, ListenerPort: at})
	s.has(copyAt("calls", "calls", "127.0.0.1", mesh.Port(listener.Addr().(*net.TCPAddr).Port)))
	s.run(nil)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, port := range []mesh.Port{at, s.port} {
		conn, err := grpc.NewClient("passthrough:///"+heddletest.Loopback(port), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("calls.mesh"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		client := healthv1.NewHealthClient(conn)
		for range 50 {
			answer, err := client.Check(ctx, &healthv1.HealthCheckRequest{})
			if err != nil || answer.GetStatus() != healthv1.HealthCheckResponse_SERVING {
				t.Fatalf("%v, %v", answer, err)
			}
		}
		watch, err := client.Watch(ctx, &healthv1.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := watch.Recv(); err != nil {
			t.Fatal(err)
		}
		s.reload(mesh.ServiceName(fmt.Sprint("more-", port)))
		state.SetServingStatus("", healthv1.HealthCheckResponse_NOT_SERVING)
		if answer, err := watch.Recv(); err != nil || answer.GetStatus() != healthv1.HealthCheckResponse_NOT_SERVING {
			t.Fatalf("a stream after a reload: %v, %v", answer, err)
		}
		state.SetServingStatus("", healthv1.HealthCheckResponse_SERVING)
		if _, err := client.Check(ctx, &healthv1.HealthCheckRequest{}); err != nil {
			t.Fatalf("a call after a reload: %v", err)
		}
	}
	if n := counted.accepted(); n > 20 {
		t.Errorf("%d connections for some 100 calls", n)
	}
}

// At the end requests are finished, and whoever is only connected holds up nothing.
func TestTheEndFinishesWhatThereIs(t *testing.T) {
	s := newSide(t)
	at, slow := heddletest.FreePort(t), heddletest.FreePort(t)
	arrived, answer := make(chan struct{}), make(chan struct{})
	heddletest.Serve(t, heddletest.Loopback(slow), func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(arrived)
			<-answer
		}
		fmt.Fprint(w, "done")
	})
	s.declare(web("web", at))
	s.has(copyAt("web", "web", "127.0.0.1", slow))
	s.run(func(cfg *Config) { cfg.DrainTimeout = 20 * time.Second })
	idle := &http.Client{Transport: &http.Transport{}}
	defer idle.CloseIdleConnections()
	if status, body, err := get(context.Background(), idle, at, "web"); status != http.StatusOK {
		t.Fatal(status, body, err)
	}
	result := make(chan error, 1)
	go func() {
		defer http.DefaultClient.CloseIdleConnections()
		response, err := http.Get("http://" + heddletest.Loopback(at) + "/slow") //nolint:noctx // the test's time bounds it
		if err != nil {
			result <- err
			return
		}
		defer response.Body.Close()
		if body, err := io.ReadAll(response.Body); err != nil || string(body) != "done" {
			result <- fmt.Errorf("%q, %w", body, err)
		}
		close(result)
	}()
	<-arrived
	ended := make(chan error, 1)
	go func() { ended <- s.end() }()
	s.eventually("new connections to be refused", func() error {
		conn, err := net.Dial("tcp", heddletest.Loopback(at))
		if err == nil {
			conn.Close()
			return errors.New("one was taken")
		}
		return nil
	})
	select {
	case err := <-ended:
		t.Fatal("it ended under a request", err)
	default:
	}
	close(answer)
	if err := <-result; err != nil {
		t.Errorf("the request under way: %v", err)
	}
	began := time.Now()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s to end after the last request", took)
	}
}

// A configuration that HAProxy refuses is told with its words, and changes nothing: what
// was served is, and its copies come and go.
func TestARefusedConfigurationChangesNothing(t *testing.T) {
	s := newSide(t)
	at := heddletest.FreePort(t)
	s.declare(web("web", at))
	s.has(s.whoami("web", "one"))
	// No plan of ours is refused by the HAProxy of these tests; this one refuses a word.
	refusing := script(t, fmt.Sprintf(`case "$1" in -c) grep -q http.unwanted "$4" && { echo "[ALERT] unwanted here"; exit 1; };; esac
exec %s "$@"`, binary(t)))
	s.run(func(cfg *Config) { cfg.HAProxy, cfg.ReloadInterval = refusing, 10*time.Millisecond })
	s.declare(web("unwanted", 0))
	s.tells("", 0, "unwanted here")
	two := s.whoami("web", "two")
	s.has(two)
	s.reaches(at, "", "one", "two")
	s.eventually("the file to be what runs", func() error {
		if file := s.file(); strings.Contains(file, "unwanted") || !strings.Contains(file, fmt.Sprint("127.0.0.1:", two.Port)) {
			return errors.New(file)
		}
		return nil
	})
	delete(s.services, "unwanted")
	s.apply([]mesh.Change{{Service: &mesh.Service{Name: "unwanted"}, Deleted: true}})
	s.tellsNothing()
	s.reload("welcome")
}

// Whoever reloads HAProxy, it has what it had: the file is kept as it is.
func TestAReloadByHandBringsNothingBack(t *testing.T) {
	s := newSide(t)
	at := heddletest.FreePort(t)
	s.declare(web("web", at))
	one, two := s.whoami("web", "one"), s.whoami("web", "two")
	s.has(one)
	s.run(nil)
	s.has(two)
	s.without(one)
	s.reaches(at, "", "two")
	s.eventually("the file to be what runs", func() error {
		if file := s.file(); !strings.Contains(file, fmt.Sprintf("127.0.0.1:%d weight 1 pool-purge-delay 1s tcp-ut 3000ms disabled", one.Port)) {
			return errors.New(file)
		}
		return nil
	})
	s.signal()
	s.reaches(at, "", "two")
	s.without(two)
	s.has(one)
	s.reaches(at, "", "one")
}

func TestAStartThatCannotBeIsTold(t *testing.T) {
	s := newSide(t)
	for name, c := range map[string]struct {
		adjust func(*Config)
		want   string
	}{
		"no address":   {func(cfg *Config) { cfg.Address = "here" }, `address: "here" is not an IP address`},
		"refuses all":  {func(cfg *Config) { cfg.HAProxy = script(t, "echo that is no word; exit 1") }, "that is no word"},
		"not a binary": {func(cfg *Config) { cfg.HAProxy = "/dev/null" }, "permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{Catalog: s.catalog, Host: host, Port: s.port, HAProxy: binary(t)}
			c.adjust(&cfg)
			r, err := New(cfg)
			if err == nil {
				err = r.Run(context.Background())
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
	r, err := New(Config{Catalog: s.catalog, Host: host, Port: s.port, HAProxy: binary(t)})
	if err != nil {
		t.Fatal(err)
	}
	long := filepath.Join(s.parent, strings.Repeat("long", 20))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", long)
	if err := r.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "have TMPDIR name a folder with a shorter path") {
		t.Errorf("sockets would have too long a path: %v", err)
	}
	listener, err := net.Listen("tcp", heddletest.Loopback(s.port))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	r, err = New(Config{Catalog: s.catalog, Host: host, Port: s.port, HAProxy: binary(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "something else listens on") {
		t.Errorf("the port of calls by name is another's: %v", err)
	}
}
