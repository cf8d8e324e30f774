package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
)

// An admin token that is made and cannot be kept is lost: nobody gets in again.
func TestTheAdminTokenIsNotLost(t *testing.T) {
	dir := t.TempDir()
	serve := func(file string) *command {
		return start("server", "--listen", "127.0.0.1:0", "--xds-listen", "127.0.0.1:0",
			"--data-dir", filepath.Join(dir, "data"), "--admin-token-file", file)
	}
	refused := serve(filepath.Join(dir, "nowhere", "token"))
	await(t, "the server to refuse", refused.ended)
	if refused.code != cli.ExitFailed || strings.Contains(refused.stderr.String(), "hdl_") || !strings.Contains(refused.stderr.String(), "could not be written") {
		t.Errorf("it ended with %d:\n%s", refused.code, refused.stderr.String())
	}

	file := filepath.Join(dir, "token")
	for _, want := range []string{"admin token written", "the registry has tokens already"} {
		c := serve(file)
		await(t, want, func() bool { return strings.Contains(c.stderr.String(), want) || c.ended() })
		await(t, "the server to be ready", func() bool { return strings.Contains(c.stderr.String(), "msg=ready") || c.ended() })
		if code := c.interrupt(t); code != cli.ExitOK || !strings.Contains(c.stderr.String(), want) {
			t.Errorf("%d, and not %q:\n%s", code, want, c.stderr.String())
		}
		_ = os.Remove(file) // as the first start's was lost
	}
	left, err := filepath.Glob(filepath.Join(dir, ".heddle-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Scripts that wait for the file would take the last run's, of a server that was
// killed, for this one's.
func TestAReadyFileOfAnEarlierRunIsRemovedFirst(t *testing.T) {
	dir := t.TempDir()
	ready := filepath.Join(dir, "ready.json")
	if err := os.WriteFile(ready, []byte(`{"rest":"http://127.0.0.1:1"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	c := start("server", "--listen", "127.0.0.1:0", "--xds-listen", "127.0.0.1:0", "--data-dir", filepath.Join(dir, "data"),
		"--ready-file", ready, "--admin-token-file", filepath.Join(dir, "nowhere", "token"))
	await(t, "the server to refuse", c.ended)
	if _, err := os.Stat(ready); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v\n%s", err, c.stderr.String())
	}
}

// Stopping a service while it starts is no failure of the service.
func TestAServerThatIsStoppedWhileItStartsEndsWell(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	c := start("server", "--listen", "127.0.0.1:0", "--xds-listen", "127.0.0.1:0", "--data-dir", data)
	await(t, "the server to begin", func() bool { _, err := os.Stat(data); return err == nil })
	if code := c.interrupt(t); code != cli.ExitOK {
		t.Errorf("it ended with %d:\n%s", code, c.stderr.String())
	}
}

// A terminal that is closed ends what runs in it as Ctrl-C does, unless nohup is before it.
func TestHangingUpEndsACommandInOrder(t *testing.T) {
	if !slices.Contains(cli.Endings(), os.Signal(syscall.SIGHUP)) {
		t.Skip("the tests run under nohup")
	}
}
