package proxy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

func program(t *testing.T, path string, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFindEnvoyTakesTheFirstOfItsPlaces(t *testing.T) {
	folder := t.TempDir()
	deep := filepath.Join(folder, "a", "b")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(deep)
	t.Setenv("PATH", "")
	if got, err := proxy.FindEnvoy(""); mesh.KindOf(err) != mesh.KindNotFound || !strings.Contains(err.Error(), "hack/envoy.sh") {
		t.Fatalf("found %q, %v", got, err)
	}
	want := program(t, filepath.Join(folder, ".tools", "envoy", "envoy"), 0o755)
	if got, err := proxy.FindEnvoy(""); err != nil || got != want {
		t.Errorf("found %q, %v; want %q", got, err, want)
	}
	onPath := program(t, filepath.Join(folder, "bin", "envoy"), 0o755)
	t.Setenv("PATH", filepath.Dir(onPath))
	if got, err := proxy.FindEnvoy(""); err != nil || got != onPath {
		t.Errorf("found %q, %v; want %q", got, err, onPath)
	}
	asked := program(t, filepath.Join(folder, "mine"), 0o755)
	if got, err := proxy.FindEnvoy(asked); err != nil || got != asked {
		t.Errorf("found %q, %v; want %q", got, err, asked)
	}
}

// In /tmp/work, /tmp/.tools/envoy/envoy may be a trap of another user's.
func TestFindEnvoyRunsNothingThatAnotherUserPutThere(t *testing.T) {
	folder := t.TempDir()
	trap := program(t, filepath.Join(folder, ".tools", "envoy", "envoy"), 0o755)
	t.Chdir(folder)
	t.Setenv("PATH", "")
	refused := func(what string) {
		t.Helper()
		if got, err := proxy.FindEnvoy(""); mesh.KindOf(err) != mesh.KindNotFound || !strings.Contains(err.Error(), trap+" is not taken") {
			t.Errorf("%s: found %q, %v", what, got, err)
		}
	}
	tools := filepath.Join(folder, ".tools")
	if err := os.Chmod(tools, 0o777); err != nil {
		t.Fatal(err)
	}
	refused("a folder that everybody may write to")
	if err := os.Chmod(tools, 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Chown(trap, 65534, 65534) == nil { // this is root
		refused("a file of another user's")
	}
}

func TestFindEnvoySaysWhatIsWrongWithTheOneAskedFor(t *testing.T) {
	folder := t.TempDir()
	for path, want := range map[string]string{
		filepath.Join(folder, "none"): "no such file",
		folder:                        "it is a folder",
		program(t, filepath.Join(folder, "plain-file"), 0o644): "it may not be executed",
	} {
		if got, err := proxy.FindEnvoy(path); mesh.KindOf(err) != mesh.KindNotFound || !strings.Contains(err.Error(), want) {
			t.Errorf("found %q, %v; want %q", got, err, want)
		}
	}
}
