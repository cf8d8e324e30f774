package envoytest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/childtest"
)

const (
	// startTimeout is far above the 0.1 s that a start takes, for busy machines.
	startTimeout = 30 * time.Second
	stopTimeout  = 10 * time.Second
	// shownLog bounds what a failed test shows of an Envoy's log, in bytes.
	shownLog = 16 << 10
)

// Envoy is a running Envoy.
type Envoy struct {
	// Admin is the address of its admin interface, host:port on loopback.
	Admin string

	process *childtest.Child
	log     string // file
}

// Start runs Envoy with a bootstrap, a JSON object, until the test ends, and
// returns once it is ready: all listeners are up. The bootstrap's admin
// address is replaced by a free port on loopback. Further arguments are
// Envoy's own, e.g. "-l", "debug".
func Start(t testing.TB, bootstrap []byte, arguments ...string) *Envoy {
	t.Helper()
	e := Launch(t, bootstrap, arguments...)
	e.WaitReady(t)
	return e
}

// Launch is [Start] for an Envoy that is not ready by itself, because its
// control plane is not there yet: it returns once the admin interface answers.
func Launch(t testing.TB, bootstrap []byte, arguments ...string) *Envoy {
	t.Helper()
	folder := t.TempDir()
	config := filepath.Join(folder, "bootstrap.json")
	if err := os.WriteFile(config, withAdmin(t, bootstrap), 0o600); err != nil {
		t.Fatal(err)
	}
	addressFile := filepath.Join(folder, "admin")
	e := &Envoy{log: filepath.Join(folder, "log")}
	e.run(t, append([]string{
		Path(t), "-c", config, "--admin-address-path", addressFile, "--log-path", e.log,
		// One worker: tests count on it (round robin, circuit breakers are per worker).
		// Hot restart would leave a file in /dev/shm behind for each Envoy run, even
		// with --use-dynamic-base-id.
		"--concurrency", "1", "--disable-hot-restart",
	}, arguments...))
	e.Admin = e.awaitAdmin(t, addressFile)
	return e
}

// withAdmin sets the admin address and leaves all else as it is.
func withAdmin(t testing.TB, bootstrap []byte) []byte {
	t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(bootstrap, &fields); err != nil {
		t.Fatalf("the bootstrap is not a JSON object: %v", err)
	}
	fields["admin"] = json.RawMessage(`{"address":{"socket_address":{"address":"127.0.0.1","port_value":0}}}`)
	out, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// run starts the process.
func (e *Envoy) run(t testing.TB, command []string) {
	t.Helper()
	output, err := os.Create(e.log + ".output") // what comes before the log is set up, and crashes
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close() // the process has its own
	cmd := exec.CommandContext(context.Background(), command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = output, output
	if e.process, err = childtest.Start(cmd); err != nil {
		t.Fatalf("start Envoy: %v", err)
	}
	t.Cleanup(func() {
		e.Stop(t)
		if t.Failed() {
			t.Logf("log of Envoy (admin %s):\n%s", e.Admin, e.tail())
		}
	})
}

// Stop ends Envoy at once, as SIGTERM does, and waits for it. It may be called twice.
func (e *Envoy) Stop(t testing.TB) {
	t.Helper()
	if !e.process.Stop(stopTimeout) {
		t.Errorf("Envoy did not end within %s of SIGTERM; killed", stopTimeout)
	}
}

// Kill ends Envoy without any warning, as a crash does, and waits for it.
func (e *Envoy) Kill() { e.process.Kill() }

// awaitAdmin waits for the file in which Envoy writes its admin address.
func (e *Envoy) awaitAdmin(t testing.TB, file string) string {
	t.Helper()
	address := ""
	e.eventually(t, "write its admin address", func() error {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if address = strings.TrimSpace(string(data)); address == "" {
			return fmt.Errorf("%s is empty", file)
		}
		return nil
	})
	return address
}

// eventually polls until attempt gives nil; the test fails when Envoy ends
// first or it takes too long.
func (e *Envoy) eventually(t testing.TB, what string, attempt func() error) {
	t.Helper()
	deadline := time.After(startTimeout)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := attempt()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-e.process.Exited():
			t.Fatalf("Envoy ended (%v) before it could %s", e.process.Err(), what)
		case <-deadline:
			t.Fatalf("Envoy did not %s within %s: %v", what, startTimeout, err)
		}
	}
}

// tail gives the end of the log.
func (e *Envoy) tail() string {
	var b strings.Builder
	for _, file := range []string{e.log + ".output", e.log} {
		data, err := os.ReadFile(file)
		if err != nil {
			fmt.Fprintln(&b, err)
			continue
		}
		if len(data) > shownLog {
			fmt.Fprintf(&b, "(%d bytes left out)\n", len(data)-shownLog)
			data = data[len(data)-shownLog:]
		}
		b.Write(data)
	}
	return b.String()
}
