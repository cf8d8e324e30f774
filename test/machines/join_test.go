// Package machines_test plays how virtual machines join the mesh: what heddle bootstrap
// --cloud-init prints is carried out in network namespaces that stand for machines, with
// the real programs. A machine has no systemd: its units are run as they say by the test. A
// computer has one of its own, which is booted in namespaces with a root of its own.
package machines_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { heddle.Remove(); heddleAgent.Remove(); os.Exit(code) }))
}

var (
	heddle      heddletest.Program
	heddleAgent = heddletest.Program{Name: "heddle-agent"}
)

const (
	hubVariable = "HEDDLE_TEST_MACHINES"
	clientID    = "6f0e6f0e-1111-2222-3333-6f0e6f0e6f0e"
)

func hubName() string { return "hdlvm" + os.Getenv(hubVariable) }

var hub = heddletest.Hub{
	Variable: hubVariable, Name: hubName,
	Build: func() error {
		for _, line := range []string{
			"netns add " + hubName(), "-n " + hubName() + " link set lo up", "-n " + hubName() + " link add br0 type bridge", "-n " + hubName() + " link set br0 up",
			"-n " + hubName() + " addr add 10.77.0.1/24 dev br0", "-n " + hubName() + " addr add 169.254.169.254/32 dev br0",
		} {
			if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
				return fmt.Errorf("ip %s: %w: %s", line, err, out)
			}
		}
		return nil
	},
	Drop: func() { _ = exec.Command("ip", "netns", "delete", hubName()).Run() },
}

func TestMachinesJoinByWhatIsPrinted(t *testing.T) {
	if testing.Short() {
		t.Skip("copies programs of some hundred MB to four machines")
	}
	for _, program := range []string{"curl", "unshare", "setpriv", "useradd", "pkill", "python3"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("not on this machine: %v", err)
		}
	}
	if hub.Inside(t, 5*time.Minute) {
		join(t)
	}
}

// mesh is what the machines are made with.
type mesh struct {
	t       *testing.T
	files   *files
	install []string // flags
}

func join(t *testing.T) {
	keys, authority := newVault(t)
	programs := map[string]string{"/heddle-1": heddle.Path(t), "/envoy-1": envoytest.Path(t)}
	m := &mesh{t: t, files: &files{programs: programs, asked: map[string]int{}, faulty: "/heddle-1"}}
	serve(t, "10.77.0.1:80", nil, m.files.answer)
	m.install = []string{"--heddle-url", "http://10.77.0.1/heddle-1", "--heddle-sha256", sum(t, programs["/heddle-1"])}

	server := boot(t, "control-plane", "10.77.0.4", authority)
	server.writeFiles(m.config("--role", "server", "--discovery", inventory(t)))
	running := server.start()
	if install := server.read("/etc/heddle/install.env"); !strings.Contains(install, "10.77.0.1") || m.files.count("/heddle-1") != 4 {
		t.Errorf("heddle was fetched %d times, not 4", m.files.count("/heddle-1"))
	}
	heddletest.Eventually(t, "the control plane", func() error {
		out, err := server.command(nil, "heddle", "status", "--server", "http://127.0.0.1:7080").CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s: %s", err, out, running.said())
		}
		return nil
	})
	server.declare()

	m.install = append(m.install, "--envoy-url", "http://10.77.0.1/envoy-1", "--envoy-sha256", sum(t, programs["/envoy-1"]),
		"--control-plane-url", "https://10.77.0.4:7443", "--control-plane-xds", "10.77.0.4:18443")
	byVault := []string{"--key-vault", "https://mesh.vault.azure.net", "--identity-client-id", clientID, "--join-secret"}

	// The gateway waits for its secret.
	keys.set(func(v *vault) {
		v.secrets["/secrets/join-edge"], v.late = server.token("--join-gateway", "edge"), "/secrets/join-edge"
	})
	gateway := boot(t, "edge000001", "10.77.0.5", authority)
	gateway.writeFiles(m.config(append([]string{"--role", "gateway", "--gateway", "edge", "--proxy-flags=--http-port 80"}, append(byVault, "join-edge")...)...))
	edge := gateway.start()
	if said := edge.said(); !strings.Contains(said, "no secret join-edge in https://mesh.vault.azure.net") {
		t.Errorf("the gateway does not say that it waited:\n%s", said)
	}

	backend := boot(t, "orders000001", "10.77.0.6", authority)
	keys.set(func(v *vault) { v.secrets["/secrets/join-orders"] = server.token("--join", "orders") })
	backend.writeFiles(m.config(append([]string{"--role", "backend", "--service", "orders", "--app-port", "8081", "--app-script", script(t, "orders", 8081)}, append(byVault, "join-orders")...)...))
	backend.start()
	answers(t, "orders.example.com", "orders on orders000001")
	if out := server.run("heddle", "get", "instances", "--server", "http://127.0.0.1:7080"); !strings.Contains(out, "orders000001") {
		t.Errorf("the instance has not its machine's name:\n%s", out)
	}

	plain := boot(t, "legacy000001", "10.77.0.7", authority)
	plain.writeFiles(m.config("--no-install", "--role", "backend", "--no-sidecar", "--app-script", script(t, "legacy", 8082)))
	plain.start()
	answers(t, "legacy.example.com", "legacy on legacy000001")

	// The gateway starts again while the Key Vault is away: it has joined.
	fetched := m.files.count("/heddle-1")
	edge.stop()
	keys.set(func(v *vault) { v.away = true })
	gateway.start()
	answers(t, "orders.example.com", "orders on orders000001")
	if again := m.files.count("/heddle-1"); again != fetched {
		t.Errorf("a restart fetched heddle again: %d times, not %d", again, fetched)
	}
}

// config is what heddle bootstrap prints, with what every machine of the mesh has.
func (m *mesh) config(arguments ...string) string {
	m.t.Helper()
	all := append([]string{"bootstrap", "--cloud-init"}, arguments...)
	if arguments[0] == "--no-install" {
		all = append([]string{"bootstrap", "--cloud-init"}, arguments[1:]...)
	} else {
		all = append(all, m.install...)
	}
	out, err := exec.Command(heddle.Path(m.t), all...).Output()
	if err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		m.t.Fatalf("heddle %q: %v: %s", all, err, exit.Stderr)
	}
	return string(out)
}

// inventory is a discovery file with one machine.
func inventory(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "discovery.yaml")
	serve(t, "10.77.0.1:8000", nil, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"vms":[{"name":"legacy000001","private_ip":"10.77.0.7","tags":{"heddle-service":"legacy:8082"}}]}`)
	})
	write(t, file, "sources: [{name: dc, interval: 1s, inventory: {url: \"http://10.77.0.1:8000/inventory.json\"}}]\n")
	return file
}

// script starts an application.
func script(t *testing.T, says string, port int) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "app.sh")
	write(t, file, fmt.Sprintf(`#!/bin/sh
mkdir -p /run/app
echo "%s on $(hostname)" > /run/app/index.html
cd /run/app
setsid python3 -m http.server %d >/dev/null 2>&1 </dev/null &
`, says, port))
	return file
}

func write(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// declare declares the services and their routes.
func (m *machine) declare() {
	m.t.Helper()
	text := ""
	for name, more := range map[string]string{"orders": "", "legacy": "endpoints: {vms: {sources: [dc]}}\n"} {
		text += fmt.Sprintf("kind: Service\nname: %[1]s\nowner: team\nprotocol: http\nport: 8080\ndependencies: []\n%[2]s---\nkind: Route\nname: %[1]s\nowner: team\nhosts: [%[1]s.example.com]\nbackends: [{service: %[1]s, weight: 1}]\n---\n", name, more)
	}
	write(m.t, m.path("/run/mesh.yaml"), text)
	m.run("heddle", "apply", "-f", "/run/mesh.yaml", "--server", "http://127.0.0.1:7080", "--token-file", "/var/lib/heddle/server/admin-token")
}

// token makes a join token.
func (m *machine) token(arguments ...string) string {
	out, err := m.command(nil, "heddle", append([]string{"token", "create", "--server", "http://127.0.0.1:7080", "--token-file", "/var/lib/heddle/server/admin-token"}, arguments...)...).Output()
	if err != nil {
		m.t.Error(err)
	}
	return strings.TrimSpace(string(out))
}

// answers asks the gateway until it answers as it is to.
func answers(t *testing.T, host, want string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	heddletest.Eventually(t, "a request through the gateway to "+host, func() error {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://10.77.0.5/", nil)
		if err != nil {
			return err
		}
		request.Host = host
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		body := make([]byte, 200)
		n, _ := answer.Body.Read(body)
		if got := strings.TrimSpace(string(body[:n])); answer.StatusCode != http.StatusOK || got != want {
			return fmt.Errorf("%s %q", answer.Status, got)
		}
		return nil
	})
}

func sum(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	of := sha256.Sum256(data)
	return hex.EncodeToString(of[:])
}
