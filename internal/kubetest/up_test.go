package kubetest_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/kubetest"
)

// hack/cluster.sh starts a cluster once, however often it is asked to, and what it
// started and wrote is gone with it.
func TestAClusterToTryThingsWith(t *testing.T) {
	kubectl := kubetest.Shared(t).Program("kubectl")
	state, temp := filepath.Join(t.TempDir(), "state"), t.TempDir()
	does := func(what string) (string, error) {
		command := exec.CommandContext(t.Context(), "../../hack/cluster.sh", what, state)
		command.Env = append(os.Environ(), "TMPDIR="+temp)
		var out, faults bytes.Buffer
		command.Stdout, command.Stderr = &out, &faults
		err := command.Run()
		if err != nil {
			err = errors.Join(err, errors.New(faults.String()))
		}
		return strings.TrimSpace(out.String()), err
	}
	t.Cleanup(func() { _, _ = does("down") })
	first, err := does("up")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), kubectl, "--kubeconfig", first, "get", "namespace", "default", "-o", "name").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "namespace/default" {
		t.Errorf("it says %s, %v", out, err)
	}
	if again, err := does("up"); err != nil || again != first {
		t.Errorf("once more: %s, %v", again, err)
	}
	for range 2 {
		if _, err := does("down"); err != nil {
			t.Error(err)
		}
	}
	for _, gone := range []string{state, filepath.Dir(first)} {
		if _, err := os.Stat(gone); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", gone, err)
		}
	}
	left, err := exec.CommandContext(t.Context(), "pgrep", "-f", temp).Output()
	if len(left) > 0 || err == nil {
		t.Errorf("these processes are left: %s", left)
	}
	if _, err := does("sideways"); err == nil {
		t.Error("it does what it cannot")
	}
}
