package heddletest

import (
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/envoytest"
)

// Hub is the network namespace from which a test reaches others, which it makes.
type Hub struct {
	// Variable of the environment says that a process runs inside, and by its value what
	// the namespaces are called. It is set before any of the functions is called.
	Variable string
	Name     func() string // of the hub's namespace
	Build    func() error
	Drop     func() // also what Build left half made
}

// Inside runs the calling test again in the hub, with more arguments, and says whether
// this is that run.
func (h Hub) Inside(t *testing.T, timeout time.Duration, arguments ...string) bool {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("network namespaces need root")
	}
	if os.Getenv(h.Variable) != "" {
		return true
	}
	envoytest.Path(t) // it may skip
	t.Setenv(h.Variable, strconv.Itoa(os.Getpid()))
	t.Cleanup(h.Drop)
	if err := h.Build(); err != nil {
		t.Skipf("this machine makes no network namespaces: %v", err)
	}
	inside := exec.CommandContext(t.Context(), "nsenter", append([]string{
		"--net=/run/netns/" + h.Name(), os.Args[0], "-test.run=^" + t.Name() + "$", "-test.v", "-test.timeout=" + timeout.String(),
	}, arguments...)...)
	output, err := inside.CombinedOutput()
	t.Logf("%s", output)
	if err != nil {
		t.Fatalf("inside the hub: %v", err)
	}
	return false
}
