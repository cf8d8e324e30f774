package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
)

// session runs commands against one server.
type session struct {
	server liveServer
	dir    string
}

func newSession(t *testing.T) session {
	t.Helper()
	dir := t.TempDir()
	return session{server: startServer(t, dir), dir: dir}
}

func (s session) args(args []string) []string {
	return append(args, "--server", s.server.address, "--token-file", s.server.tokenFile)
}

// do runs a command that must succeed and gives what it wrote.
func (s session) do(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	var out, wrong bytes.Buffer
	if code := run(context.Background(), s.args(args), strings.NewReader(stdin), &out, &wrong); code != cli.ExitOK {
		t.Fatalf("heddle %s: exit code %d\n%s", strings.Join(args, " "), code, wrong.String())
	}
	return out.String()
}

func (s session) start(args ...string) *command { return start(s.args(args)...) }

const webService = "kind: Service\nname: web\nowner: team-web\nprotocol: http\nport: 80\ndependencies: []\n"

// --keep outlives several leases, and leaves nothing behind.
func TestRegisterKeeps(t *testing.T) {
	s := newSession(t)
	s.do(t, webService, "apply", "-f", "-")
	keep := s.start("register", "web", "--id", "a", "--address", "10.0.0.1", "--port", "80", "--ttl", "3s", "--keep")
	await(t, "the registration", func() bool { return strings.Contains(keep.stdout.String(), "instance/web/a registered") })
	if got := s.do(t, "", "get", "instances", "web", "-o", "name"); got != "instance/web/a\n" {
		t.Errorf("instances: %q", got)
	}
	// An operator removes it: it comes back by itself.
	s.do(t, "", "deregister", "web", "a")
	await(t, "it to register again", func() bool { return strings.Contains(keep.stderr.String(), "registered again") })
	if code := keep.interrupt(t); code != cli.ExitOK {
		t.Errorf("exit code %d: %s", code, keep.stderr.String())
	}
	if got := s.do(t, "", "get", "instances", "web", "-o", "name"); got != "" {
		t.Errorf("left behind: %q", got)
	}
}

// Whoever registers the same instance owns it from then on.
func TestRegisterKeepGivesWay(t *testing.T) {
	s := newSession(t)
	s.do(t, webService, "apply", "-f", "-")
	keep := s.start("register", "web", "--id", "a", "--address", "10.0.0.1", "--port", "80", "--ttl", "3s", "--keep")
	await(t, "the registration", func() bool { return strings.Contains(keep.stdout.String(), "registered") })
	s.do(t, "", "register", "web", "--id", "a", "--address", "10.0.0.2", "--port", "80", "--ttl", "1m")
	await(t, "the first to end", keep.ended)
	if code := keep.interrupt(t); code != cli.ExitConflict || !strings.Contains(keep.stderr.String(), "by somebody else") {
		t.Errorf("exit code %d: %s", code, keep.stderr.String())
	}
	if got := s.do(t, "", "get", "instances", "web"); !strings.Contains(got, "10.0.0.2:80") {
		t.Errorf("the second is gone: %s", got)
	}
}

func TestWatch(t *testing.T) {
	s := newSession(t)
	lines := s.start("watch")
	json := s.start("watch", "-o", "json")
	await(t, "the first list", func() bool {
		return strings.Contains(lines.stdout.String(), "synced") && strings.Contains(json.stdout.String(), `"synced"`)
	})
	s.do(t, webService, "apply", "-f", "-")
	s.do(t, "", "register", "web", "--id", "a", "--address", "10.0.0.1", "--port", "80")
	s.do(t, "", "deregister", "web", "a")
	s.do(t, "", "delete", "service", "web")
	await(t, "the changes", func() bool {
		got := lines.stdout.String()
		return strings.Contains(got, " service/web put by ") && strings.Contains(got, " instance/web/a put by ") &&
			strings.Contains(got, " at 10.0.0.1:80 healthy\n") && strings.Contains(got, " instance/web/a deleted\n") && strings.Contains(got, " service/web deleted\n")
	})
	await(t, "the deletion as JSON", func() bool { return strings.Contains(json.stdout.String(), `"deleted":true,"service":{`) })
	for _, c := range []*command{lines, json} {
		if code := c.interrupt(t); code != cli.ExitOK || c.stderr.String() != "" {
			t.Errorf("exit code %d: %s", code, c.stderr.String())
		}
	}
}

// Watching goes on when the server is away, and says so.
func TestStatusWatch(t *testing.T) {
	s := newSession(t)
	looks := s.start("status", "--watch", "--interval", "100ms")
	await(t, "a second look", func() bool { return strings.Count(looks.stdout.String(), "server   http") >= 2 })
	if code := looks.interrupt(t); code != cli.ExitOK {
		t.Errorf("exit code %d: %s", code, looks.stderr.String())
	}
	if strings.Contains(looks.stdout.String(), "\x1b") {
		t.Error("escapes in what is no terminal")
	}
	away := start("status", "--watch", "--interval", "100ms", "--server", "http://127.0.0.1:1")
	await(t, "a second look at nothing", func() bool { return strings.Count(away.stdout.String(), "not ready: no Heddle server answers") >= 2 })
	if code := away.interrupt(t); code != cli.ExitOK {
		t.Errorf("exit code %d: %s", code, away.stderr.String())
	}
}

// Writers of different keys at the same time do not undo each other.
func TestRuntimeSetLosesNothing(t *testing.T) {
	s := newSession(t)
	s.do(t, "", "runtime", "set", "first=0")
	var writers errgroup.Group
	const n = 6
	for i := range n {
		writers.Go(func() error {
			c := s.start("runtime", "set", fmt.Sprintf("k%d=%d", i, i))
			<-c.done
			if c.code != cli.ExitOK {
				return errors.New(c.stderr.String())
			}
			return nil
		})
	}
	if err := writers.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(s.do(t, "", "runtime", "get"), "\nk"); got != n {
		t.Errorf("%d keys of %d are there", got, n)
	}
}

// A server that answers and is not ready is shown as such, with exit code 6.
func TestStatusOfServerThatIsNotReady(t *testing.T) {
	syncing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/version" {
			fmt.Fprint(w, `{"version":"heddle v9"}`)
			return
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"title":"Service Unavailable","status":503,"detail":"the mesh is still being read"}`)
	}))
	defer syncing.Close()
	var out, wrong bytes.Buffer
	code := run(context.Background(), []string{"status", "--server", syncing.URL}, strings.NewReader(""), &out, &wrong)
	if code != cli.ExitUnavailable || !strings.Contains(out.String(), "not ready: the mesh is still being read, heddle v9") ||
		!strings.Contains(wrong.String(), "heddle: the server is not ready: the mesh is still being read") {
		t.Errorf("exit code %d\n%s%s", code, out.String(), wrong.String())
	}
}

// The admin token is for its owner's eyes only.
func TestAdminTokenFileMode(t *testing.T) {
	s := newSession(t)
	info, err := os.Stat(s.server.tokenFile)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("mode %o", mode)
	}
}
