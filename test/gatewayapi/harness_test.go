// Package gatewayapi_test runs the official conformance tests of the Kubernetes Gateway
// API against `heddle server`, `heddle operator` and `heddle proxy --gateway` as
// processes, with a real API server and real Envoys. No kubelet runs here: a node
// of the test runs the pods that the suite deploys, each the suite's own server in a
// network namespace of its own. It is a module apart, for what the suite is built with.
package gatewayapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/childtest"
	"github.com/heddle-mesh/heddle/internal/kubetest"
)

// What the process is: the test outside, in its network namespace, or the suite in it.
const (
	isolated = "HEDDLE_TEST_ISOLATED"
	suiteOf  = "HEDDLE_TEST_SUITE" // the file of its results
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(suiteOf) != "":
		os.Exit(m.Run())
	case os.Getenv(isolated) == "":
		runtime.LockOSThread() // the child is to end with this process, not with a thread of it
		command := exec.Command("/proc/self/exe", os.Args[1:]...)
		command.Env = append(os.Environ(), isolated+"=own")
		command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
		command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
		err := command.Run()
		if command.ProcessState == nil {
			fmt.Fprintln(os.Stderr, "no network namespace:", err)
			os.Exit(1)
		}
		os.Exit(max(command.ProcessState.ExitCode(), 0))
	}
	os.Exit(kubetest.Main(m).Run())
}

// ip runs lines of ip(8).
func ip(lines ...string) error {
	command := exec.Command("ip", "-batch", "-")
	command.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("ip: %w: %s", err, out)
	}
	return nil
}

// repository is its top folder, as seen from here.
const repository = "../.."

// programs builds what runs.
func programs(t *testing.T) (heddle, echo string) {
	t.Helper()
	dir := t.TempDir()
	heddle, echo = filepath.Join(dir, "heddle"), filepath.Join(dir, "echo")
	for _, one := range []struct{ in, file, what string }{
		{repository, heddle, "./cmd/heddle"}, {".", echo, "sigs.k8s.io/gateway-api/conformance/echo-basic"},
	} {
		command := exec.CommandContext(t.Context(), "go", "build", "-o", one.file, one.what)
		command.Dir = one.in
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v: %s", one.what, err, out)
		}
	}
	root, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	for name, preset := range map[string]string{"KUBEBUILDER_ASSETS": "kube", "HEDDLE_ENVOY": "envoy/envoy"} {
		if os.Getenv(name) == "" {
			t.Setenv(name, filepath.Join(root, ".tools", preset))
		}
	}
	return heddle, echo
}

// process is a running program, whose log is a file.
type process struct {
	command *exec.Cmd
	child   *childtest.Child
	log     string
	once    sync.Once
	ended   <-chan struct{}
}

func run(log string, environment []string, flags uintptr, arguments ...string) (*process, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	p := &process{log: log, command: exec.Command(arguments[0], arguments[1:]...)}
	p.command.Env = append(os.Environ(), environment...)
	p.command.Stdout, p.command.Stderr = file, file
	p.command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	if p.child, err = childtest.Start(p.command); err != nil {
		return nil, err
	}
	p.ended = p.child.Exited()
	return p, nil
}

// end asks it to, and insists after a while.
func (p *process) end() {
	p.once.Do(func() { p.child.Stop(5 * time.Second) })
}

// start runs heddle until the test ends, and waits until it says what its ready
// file holds.
func start(t *testing.T, heddle string, arguments ...string) (said map[string]string) {
	t.Helper()
	dir := t.TempDir()
	ready := filepath.Join(dir, "ready")
	p, err := run(filepath.Join(dir, "log"), nil, 0, append([]string{heddle}, append(arguments, "--ready-file", ready)...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.end()
		if log, err := os.ReadFile(p.log); t.Failed() && err == nil {
			t.Logf("log of %s:\n%s", arguments[0], log)
		}
	})
	kubetest.Eventually(t, "be ready: "+arguments[0], func() error {
		data, err := os.ReadFile(ready)
		if err != nil {
			return err
		}
		return json.Unmarshal(data, &said)
	})
	return said
}

// every calls f again and again until ctx ends.
func every(ctx context.Context, pause time.Duration, f func()) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f()
		}
	}
}
