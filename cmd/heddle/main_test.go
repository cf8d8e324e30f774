package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// The scripts run this very test binary under the name heddle.
func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"heddle": main})
}

// leakChecked fails the tests when goroutines outlive them.
type leakChecked struct{ *testing.M }

func (m leakChecked) Run() int {
	code := m.M.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// TestScripts plays testdata/script: every command and every error path that
// needs no server.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               cleanEnv,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// cleanEnv keeps the settings of whoever runs the tests out of them.
func cleanEnv(env *testscript.Env) error {
	env.Setenv("NO_COLOR", "")
	env.Setenv("GORACE", "atexit_sleep_ms=10 "+os.Getenv("GORACE")) // a second for each of 150 commands otherwise
	env.Setenv("HEDDLE_SERVER", "http://127.0.0.1:1")               // nothing listens there
	for _, name := range []string{"HEDDLE_TOKEN", "HEDDLE_TOKEN_FILE", "HEDDLE_ENVOY"} {
		env.Setenv(name, "")
	}
	return os.MkdirAll(filepath.Join(env.WorkDir, "empty"), 0o755)
}

// exits runs a command and checks its exit code: exits CODE COMMAND ARGS…
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARGS…")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := "0"
	if err != nil {
		code = exitCodeOf(err)
	}
	if code != args[0] {
		ts.Fatalf("exit code %s, want %s", code, args[0])
	}
}
