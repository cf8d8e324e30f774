package dockertest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/moby/moby/client"

	"github.com/heddle-mesh/heddle/internal/dockerd"
	"github.com/heddle-mesh/heddle/internal/treetest"
)

// Image is the name of the image of program whoami.
const Image = "heddle.test/whoami:1"

// Engine is a container engine of a test's own.
type Engine struct {
	*dockerd.Engine
	t testing.TB
}

// Start runs an engine until the test ends; Image is there.
func Start(t testing.TB, cfg dockerd.Config) *Engine {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("a container engine needs root")
	}
	if lacks := dockerd.Lacks(); lacks != "" {
		t.Skipf("no container engine (%s): run hack/system.sh docker.io iptables iproute2", lacks)
	}
	program := whoami(t)
	one, err := dockerd.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("the container engine:\n" + one.Log())
		}
		if err := one.Close(); err != nil {
			t.Errorf("end the container engine: %v", err)
		}
	})
	if err := one.Import(t.Context(), Image, map[string]string{"/whoami": program}, `ENTRYPOINT ["/whoami"]`); err != nil {
		t.Fatal(err)
	}
	return &Engine{Engine: one, t: t}
}

var built struct {
	sync.Mutex
	file string // guarded by it; in a folder that the first test's end removes
}

// whoami builds the program, once for the tests that run at the same time.
func whoami(t testing.TB) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	if built.file != "" {
		if _, err := os.Stat(built.file); err == nil {
			return built.file
		}
	}
	file := filepath.Join(t.TempDir(), "whoami")
	// Without cgo in these packages the program is static.
	if err := treetest.Build("internal/dockertest/whoami", file, "-tags", "netgo,osusergo", "-ldflags", "-s -w"); err != nil {
		t.Fatal(err)
	}
	built.file = file
	return file
}

// Whoami runs a container of Image unless it says another, and gives its ID.
func (e *Engine) Whoami(c dockerd.Container) string {
	e.t.Helper()
	if c.Image == "" {
		c.Image = Image
	}
	id, err := e.Run(e.t.Context(), c)
	if err != nil {
		e.t.Fatal(err)
	}
	return id
}

// StopContainer stops a container in order, as `docker stop` does.
func (e *Engine) StopContainer(id string) {
	e.t.Helper()
	if err := e.End(e.t.Context(), id); err != nil {
		e.t.Fatal(err)
	}
}

// RemoveContainer kills a container if it runs, and removes it.
func (e *Engine) RemoveContainer(id string) {
	e.t.Helper()
	if _, err := e.Client.ContainerRemove(context.WithoutCancel(e.t.Context()), id, client.ContainerRemoveOptions{Force: true}); err != nil {
		e.t.Fatal(err)
	}
}
