package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/logtest"
)

// within bounds everything that a test waits for.
const within = 20 * time.Second

// TestOnline plays testdata/online, each script against a server of its own
// with an etcd of its own.
func TestOnline(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/online",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			if err := cleanEnv(env); err != nil {
				return err
			}
			server := startServer(env.T().(testing.TB), filepath.Join(env.WorkDir, ".server"))
			env.Setenv("HEDDLE_SERVER", server.address)
			env.Setenv("HEDDLE_TOKEN_FILE", server.tokenFile)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "eventually": eventually, "etcdput": etcdPut},
	})
}

// etcdPut writes to the server's etcd past the server: etcdput KEY VALUE.
func etcdPut(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: etcdput KEY VALUE")
	}
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + ts.MkAbs(filepath.Join(".server", "data", "etcd.sock"))}})
	ts.Check(err)
	defer etcd.Close()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	_, err = etcd.Put(ctx, args[0], args[1])
	ts.Check(err)
}

// liveServer is a `heddle server` in this process.
type liveServer struct {
	address, xds, tokenFile string
}

// startServer runs a server until the test ends.
func startServer(t testing.TB, dir string) liveServer {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ready, token := filepath.Join(dir, "ready.json"), filepath.Join(dir, "token")
	c := start("--log-level", "warn", "server", "--listen", "127.0.0.1:0", "--xds-listen", "127.0.0.1:0",
		"--data-dir", filepath.Join(dir, "data"), "--ready-file", ready, "--admin-token-file", token)
	t.Cleanup(func() {
		if code := c.interrupt(t); code != cli.ExitOK {
			t.Errorf("the server ended with %d:\n%s", code, c.stderr.String())
		}
	})
	var said struct{ REST, XDS string }
	await(t, "the server to be ready", func() bool {
		if c.ended() {
			t.Fatalf("the server ended:\n%s", c.stderr.String())
		}
		data, err := os.ReadFile(ready)
		return err == nil && json.Unmarshal(data, &said) == nil && said.REST != ""
	})
	address := said.REST
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	await(t, "the server to serve", func() bool {
		var out, wrong bytes.Buffer
		return run(context.Background(), []string{"status", "--server", address}, strings.NewReader(""), &out, &wrong) == cli.ExitOK
	})
	return liveServer{address: address, xds: said.XDS, tokenFile: token}
}

// command is heddle running in this process.
type command struct {
	stop           context.CancelFunc
	done           chan struct{}
	code           int // once done is closed
	stdout, stderr logtest.Buffer
}

// start runs heddle with these arguments until interrupt.
func start(args ...string) *command {
	ctx, cancel := context.WithCancel(context.Background())
	c := &command{stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.code = run(ctx, args, strings.NewReader(""), &c.stdout, &c.stderr)
	}()
	return c
}

func (c *command) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// interrupt does what Ctrl-C does, waits, and gives the exit code.
func (c *command) interrupt(t testing.TB) int {
	t.Helper()
	c.stop()
	select {
	case <-c.done:
	case <-time.After(within):
		t.Fatalf("it does not end when interrupted; it wrote:\n%s%s", c.stdout.String(), c.stderr.String())
	}
	return c.code
}

// await polls until done says so.
func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(within)
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %s for %s", within, what)
		}
	}
}

// eventually runs a command until it has the exit code: eventually CODE COMMAND ARGS…
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: eventually CODE COMMAND ARGS…")
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(within)
	for {
		code := "0"
		if err := ts.Exec(args[1], args[2:]...); err != nil {
			code = exitCodeOf(err)
		}
		if code == args[0] {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("exit code %s after %s, want %s", code, within, args[0])
		}
	}
}
