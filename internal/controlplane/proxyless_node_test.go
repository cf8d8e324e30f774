package controlplane_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Node.js's gRPC is another implementation than Go's, and refuses other things.
// It calls xds:///orders and follows it, in one process and without a failed call:
// to another instance, through a declaration with everything, until its service
// has not declared it any more.
func TestProxylessClientOfNodeJS(t *testing.T) {
	node, modules := grpcJS(t)
	first, second := grpcBackend(t), grpcBackend(t)
	m := startProxyless(t, nil)
	m.apply(ordersAt("1", first))
	bootstrap := filepath.Join(t.TempDir(), "bootstrap.json")
	if err := os.WriteFile(bootstrap, m.bootstrap(t), 0o600); err != nil {
		t.Fatal(err)
	}

	program := filepath.Join("testdata", "grpc-js", "client.js")
	if _, err := os.Stat(program); err != nil { // so that the test cache knows of it
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, program, "xds:///orders")
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules, "GRPC_XDS_BOOTSTRAP="+bootstrap)
	cmd.Stderr = t.Output()
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := sync.OnceValue(cmd.Wait)
	t.Cleanup(func() { _ = ended() }) // killed by then, if the test failed
	// It calls every 10 ms, so that each line comes soon: none is waited for past
	// a minute.
	hung := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer hung.Stop()
	lines := bufio.NewScanner(output)
	until := func(want string, others ...string) {
		t.Helper()
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), want) {
				return
			}
			if !slices.ContainsFunc(others, func(other string) bool { return strings.HasPrefix(lines.Text(), other) }) {
				t.Fatalf("a call ended with %q; refused: %q", lines.Text(), m.nacks())
			}
		}
		t.Fatalf("no call ended with %q; refused: %q", want, m.nacks())
	}
	port := func(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

	until(port(first))
	m.apply(ordersAt("1", second))
	until(port(second), port(first))
	m.apply(ordersWithEverything(), ordersAt("1", first))
	until(port(first), port(second))
	if nacks := m.nacks(); len(nacks) > 0 {
		t.Errorf("refused: %q", nacks)
	}
	m.apply(grpcService("web", "billing"))
	until("UNAVAILABLE", port(first))

	if err := input.Close(); err != nil {
		t.Error(err)
	}
	for lines.Scan() { // what it has still written
	}
	if err := ended(); err != nil {
		t.Errorf("the client ended with %v", err)
	}
}

// grpcJS gives Node.js and the folder of its packages, where hack/node.sh puts
// them. It skips the test if they are not there, or not those that are pinned.
func grpcJS(t *testing.T) (node, modules string) {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "..", ".tools", "grpc-js"))
	if err != nil {
		t.Fatal(err)
	}
	node, err = exec.LookPath(filepath.Join(dir, "node"))
	if err != nil {
		t.Skip("no Node.js with its gRPC: run hack/node.sh")
	}
	pinned, err := os.ReadFile(filepath.Join("testdata", "grpc-js", "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	if there, err := os.ReadFile(filepath.Join(dir, "package-lock.json")); err != nil || !bytes.Equal(there, pinned) {
		t.Skip("Node.js's gRPC is not the one that is pinned: run hack/node.sh")
	}
	return node, filepath.Join(dir, "node_modules")
}
