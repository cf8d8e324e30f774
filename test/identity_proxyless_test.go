package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/logtest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// background runs a program until the test ends, and gives what it writes.
func background(t *testing.T, environment []string, path string, arguments ...string) *logtest.Buffer {
	t.Helper()
	out := &logtest.Buffer{}
	command := exec.Command(path, arguments...)
	command.Env = append(os.Environ(), environment...)
	command.Stdout, command.Stderr = out, out
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if t.Failed() {
			t.Logf("%s %v wrote:\n%s", filepath.Base(path), arguments, out.String())
		}
	})
	return out
}

// TestAGRPCClientWithAnIdentity: a program with a gRPC library that speaks xDS is
// served over mTLS as the service that its certificate says, follows changes, and
// comes back when the control plane was away; with another's certificate it is not.
func TestAGRPCClientWithAnIdentity(t *testing.T) {
	t.Parallel()
	path := heddle.Path(t)
	program := filepath.Join(t.TempDir(), "proxyless")
	if output, err := exec.Command("go", "build", "-o", program, "../examples/proxyless").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	s := startSecure(t)
	s.declare(service("orders", mesh.GRPC), service("web", mesh.GRPC, "orders"), service("other", mesh.GRPC))
	var addresses []string
	for range 2 {
		address := heddletest.Loopback(heddletest.FreePort(t))
		background(t, nil, program, "serve", address)
		addresses = append(addresses, address)
	}
	s.register("orders", "orders-1", addresses[0])
	call := func(service, dir string) *logtest.Buffer {
		t.Helper()
		command := exec.Command(path, "bootstrap", "--proxyless", "--service", service, "--instance", service+"-1", "--identity-dir", dir, "--xds", s.xdsTLS)
		bootstrap, err := command.Output()
		if err != nil {
			t.Fatal(err)
		}
		// The node says web, whatever the certificate does.
		file := filepath.Join(t.TempDir(), "grpc.json")
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(bootstrap), service, "web")), 0o600); err != nil {
			t.Fatal(err)
		}
		return background(t, []string{"GRPC_XDS_BOOTSTRAP=" + file}, program, "call", "xds:///orders")
	}
	web, stranger := call("web", s.joined("web")), call("other", s.joined("other"))
	answered := func(by string) {
		t.Helper()
		before := len(web.String())
		heddletest.Eventually(t, "an answer by "+by, func() error {
			if out := web.String()[before:]; !strings.Contains(out, "answered by "+by) {
				return fmt.Errorf("it wrote %q", out)
			}
			return nil
		})
	}
	answered(addresses[0])
	s.Kill()
	answered(addresses[0])
	s.restart()
	s.client = s.newClient(s.token)
	s.register("orders", "orders-2", addresses[1])
	answered(addresses[1])
	answered(addresses[0])
	if out := stranger.String(); strings.Contains(out, "answered by") {
		t.Errorf("with another service's certificate it was served:\n%s", out)
	}
	if want := `the certificate is of service \"other\", and may not be served as service \"web\"`; !strings.Contains(s.Log.String(), want) {
		t.Errorf("%q is not in the log", want)
	}
}
