package health

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// An interval of a nanosecond had the agent check a million times in two seconds.
func TestACheckWithoutAnIntervalDoesNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(Config{})
		tiny := at("127.0.0.1:1")
		tiny.Check = hosts.Check{Kind: hosts.CheckTCP, Interval: 1, Timeout: 1}
		for name, check := range map[string]hosts.Check{"as it says": tiny.Check, "as it is read": m.checkOf(tiny)} {
			asked := 0
			stop := follows(t, m, check, func(context.Context) error { asked++; return nil })
			time.Sleep(2 * time.Second)
			stop()
			if asked > 401 || asked < 100 {
				t.Errorf("%s: asked %d times in 2 s", name, asked)
			}
		}
	})
}

// Labels had the agent ask whatever its host reaches: its loopback, the address of a
// cloud's metadata.
func TestALabelHasNothingAskedButTheServiceItself(t *testing.T) {
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	_, otherPort, _ := net.SplitHostPort(other.Listener.Addr().String())
	own := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/leaves":
			http.Redirect(w, r, "http://127.0.0.1:"+otherPort+"/", http.StatusFound)
		case "/stays":
			http.Redirect(w, r, "/ok", http.StatusFound)
		}
	}))
	defer own.Close()
	s := at(own.Listener.Addr().String())
	port := fmt.Sprint(s.Ports[0].Port)
	s.Ports = append(s.Ports, hosts.Port{Type: "udp", Port: mesh.Port(other.Listener.Addr().(*net.TCPAddr).Port)}) //nolint:errcheck // what else
	ask := func(kind hosts.CheckKind, args string, bound bool) string {
		ask, err := probeOf(s, hosts.Check{Kind: kind, Args: args, Own: bound}, "h1", nil)
		if err != nil {
			return "never: " + err.Error()
		}
		return once(t.Context(), ask, time.Second)
	}
	for _, c := range []struct {
		kind hosts.CheckKind
		args string
	}{
		{hosts.CheckHTTP, ""}, {hosts.CheckHTTP, "/ok"}, {hosts.CheckHTTP, "http://{{host}}:{{tcp 80}}/stays"}, {hosts.CheckHTTP, "http://[::ffff:127.0.0.1]:" + port},
		{hosts.CheckTCP, ""}, {hosts.CheckTCP, "{{tcp 80}}"}, {hosts.CheckTCP, "{{host}}:{{tcp 80}}"},
		{hosts.CheckHTTP, "http://:" + port + "/ok"}, {hosts.CheckHTTP, "http://:" + port}, {hosts.CheckTCP, ":" + port}, // as Sidecar's README has it
	} {
		if got := ask(c.kind, c.args, true); got != "" {
			t.Errorf("its own: %s %q: %q", c.kind, c.args, got)
		}
	}
	for _, c := range []struct {
		kind hosts.CheckKind
		args string
	}{
		{hosts.CheckHTTP, other.URL}, {hosts.CheckHTTP, "http://169.254.169.254/latest/meta-data"}, {hosts.CheckHTTP, "http://127.0.0.9:" + port}, {hosts.CheckHTTP, "http://localhost:" + port},
		{hosts.CheckHTTP, "https://127.0.0.1"}, {hosts.CheckHTTP, "http://{{host}}:{{tcp 80}}@127.0.0.9:" + port}, {hosts.CheckHTTP, "http://{{container}}:{{tcp 80}}"},
		{hosts.CheckTCP, otherPort}, {hosts.CheckTCP, "127.0.0.9:" + port}, {hosts.CheckTCP, "localhost:" + port}, {hosts.CheckTCP, ":" + otherPort}, {hosts.CheckHTTP, "http://:" + otherPort}, {hosts.CheckHTTP, "http://:" + port + "@127.0.0.9:" + otherPort}, {hosts.CheckGRPC, otherPort + "/x"}, {hosts.CheckGRPC, "dns:" + port},
	} {
		if got := ask(c.kind, c.args, true); !strings.Contains(got, "no TCP port of its own: use {{host}}") {
			t.Errorf("another's: %s %q: %q", c.kind, c.args, got)
		}
	}
	if got := ask(hosts.CheckHTTP, "/leaves", true); got != errElsewhere.Error() {
		t.Errorf("redirected to another's: %q", got)
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("another was asked %d times", n)
	}
	if got := ask(hosts.CheckHTTP, other.URL, false); got != "" || elsewhere.Load() != 1 {
		t.Errorf("what the host's owner says: %q", got)
	}
	m := New(Config{Defaults: hosts.Check{Kind: hosts.CheckHTTP, Args: other.URL}})
	s.Check.Own = true
	if check := m.checkOf(s); check.Own {
		t.Errorf("what the host's owner says of all is held to a service: %+v", check)
	}
}

// What a server writes went to all hosts as the reason.
func TestReasonsHaveNoWordOfWhatIsAsked(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var says atomic.Pointer[string]
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = connection.Read(make([]byte, 1<<10))
			_, _ = connection.Write([]byte(*says.Load()))
			connection.Close()
		}
	}()
	defer func() { listener.Close(); <-done }()
	for text, want := range map[string]string{
		"HTTP/1.1 401 a secret\r\n\r\n": "it answers 401 Unauthorized", "HTTP/1.1 599 a secret\r\n\r\n": "it answers 599",
		"a secret\r\n": "its answer is no HTTP", "HTTP/1.1 secret\r\n\r\n": "its answer is no HTTP", "HTTP/1.1 200 OK\r\nContent-Length: secret\r\n\r\n": "its answer is no HTTP",
		"HTTP/1.1 302 Found\r\nLocation: %secret\r\n\r\n": "its answer is no HTTP", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nsecret\r\n": "its answer breaks off: its answer is no HTTP",
		"": "EOF", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n": "its answer breaks off: unexpected EOF",
	} {
		says.Store(&text)
		if got := outcome(t, at(listener.Addr().String()), hosts.CheckHTTP, "/"); got != want {
			t.Errorf("%q: %q, to be %q", text, got, want)
		}
	}
}

// Commands of checks had the agent's token in their environment.
func TestCommandsHaveNothingOfTheAgentsEnvironment(t *testing.T) {
	t.Setenv("HEDDLE_TOKEN", "a secret")
	file := t.TempDir() + "/environment"
	ask, err := probeOf(at("127.0.0.1:1"), hosts.Check{Kind: hosts.CheckExec, Args: "sh -c 'env > " + file + "'"}, "h1", []string{"PATH=/usr/bin:/bin"})
	if err != nil {
		t.Fatal(err)
	}
	if got := once(t.Context(), ask, 5*time.Second); got != "" {
		t.Fatal(got)
	}
	has, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(has, []byte("secret")) || !bytes.Contains(has, []byte("PATH=/usr/bin:/bin\n")) || !bytes.Contains(has, []byte("LC_ALL=")) {
		t.Errorf("its environment:\n%s", has)
	}
}
