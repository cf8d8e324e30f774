package machines_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/hosts"
)

// unitHost is a machine with an agent that finds services among its units.
type unitHost struct {
	*computer
	address string
}

// unitFiles are those of the machine, by path.
var unitFiles = map[string]string{
	"orders@.service": `[Service]
ExecStart=python3 -m http.server --directory /usr/share/doc %i
ExecReload=sleep 2
ExecStop=sleep 2
SuccessExitStatus=SIGTERM
[X-Heddle]
Port=%i
ServicePort=9001
Check=http
Interval=200ms
`,
	"plain.service": "[Service]\nExecStart=sleep infinity\n",
	"bad.service": `[Service]
ExecStart=sleep infinity
[X-Heddle]
Prot=80
Check=none
`,
	"web.socket":  "[Socket]\nListenStream=8090\n[X-Heddle]\nPort=8090\nServicePort=9002\nCheck=none\n",
	"web.service": "[Service]\nExecStart=sleep infinity\n",
	"slow.service": `[Service]
Type=notify
ExecStart=sleep infinity
[X-Heddle]
Port=1
`,
}

func startUnitHost(t *testing.T) *unitHost {
	none := filepath.Join(t.TempDir(), "none")
	write(t, none, "")
	h := &unitHost{build(t, "units", "10.77.0.40", none, ""), "10.77.0.40"}
	h.on()
	host(t, "cp", heddleAgent.Path(t), h.path("/usr/local/bin/heddle-agent"))
	h.run("useradd", "--system", "heddle")
	unit, err := os.ReadFile("../../deploy/systemd/heddle-agent.service")
	if err != nil {
		t.Fatal(err)
	}
	h.file("heddle-agent.service", string(unit))
	for name, text := range unitFiles {
		h.file(name, text)
	}
	h.run("mkdir", "--parents", "/etc/heddle")
	write(t, h.path("/etc/heddle/agent.env"), "HEDDLE_ADDRESS='10.77.0.40'\nHEDDLE_FLAGS='--insecure-gossip --systemd --proxy none --api 10.77.0.40:7777'\n")
	h.run("systemctl", "daemon-reload")
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(h.journal("heddle-agent.service"))
		}
	})
	return h
}

// file writes one of a unit's files.
func (h *unitHost) file(name, text string) {
	h.t.Helper()
	path := h.path("/etc/systemd/system/" + name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // as units are
		h.t.Fatal(err)
	}
}

// found gives what the agent says that the host runs: "ID name health ports", a line each.
func (h *unitHost) found() (string, error) {
	web := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	response, err := web.Get("http://" + h.address + ":7777/api/v1/members") //nolint:noctx // it has a timeout
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var members []struct{ Services []hosts.Service }
	if err := json.NewDecoder(response.Body).Decode(&members); err != nil || len(members) != 1 {
		return "", fmt.Errorf("%d members (%w)", len(members), err)
	}
	var text []string
	for _, s := range members[0].Services {
		ports := ""
		for _, p := range s.Ports {
			ports += fmt.Sprintf(" %d:%d", p.Port, p.ServicePort)
		}
		if s.Source != "systemd" || s.Created.IsZero() {
			return "", fmt.Errorf("%v", s)
		}
		health := s.Health
		if health == "" {
			health = hosts.Healthy
		}
		text = append(text, fmt.Sprintf("%s %s %s%s", s.ID, s.Name, health, ports))
	}
	return strings.Join(text, "\n"), nil
}

// runs waits until the agent says that the host runs this, and nothing else.
func (h *unitHost) runs(want ...string) {
	h.t.Helper()
	began := time.Now()
	heddletest.Eventually(h.t, "the agent to find "+strings.Join(want, ", "), func() error {
		got, err := h.found()
		if err == nil && got != strings.Join(want, "\n") {
			err = fmt.Errorf("it has\n%s", got)
		}
		return err
	})
	h.t.Logf("known after %v: %s", time.Since(began).Round(time.Millisecond), strings.Join(want, ", "))
}

// told waits until the agent's log has a text so often.
func (h *unitHost) told(text string, times int) {
	h.t.Helper()
	heddletest.Eventually(h.t, "the agent to log: "+text, func() error {
		if log := h.journal("heddle-agent.service"); strings.Count(log, text) != times {
			return fmt.Errorf("it logs\n%s", log)
		}
		return nil
	})
}

// Units with a section for Heddle are services of their host while they run, as its systemd
// says: the agent asks it as a user without rights.
func TestUnitsAreServices(t *testing.T) {
	for _, program := range []string{"python3", "useradd", "dbus-daemon"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("not on this machine: %v", err)
		}
	}
	if !hub.Inside(t, 5*time.Minute) {
		return
	}
	h := startUnitHost(t)
	const first, second, web = "orders@8081.service orders healthy 8081:9001", "orders@8082.service orders healthy 8082:9001", "web.socket web healthy 8090:9002"
	const mended = "bad.service bad healthy 70:0"
	h.run("systemctl", "start", "orders@8081", "plain", "bad", "heddle-agent")
	h.run("systemctl", "start", "--no-block", "slow") // it never says that it can serve
	h.runs(first)
	h.told(`problem="/etc/systemd/system/bad.service:4: there is no \"Prot\" in [X-Heddle]"`, 1)
	h.run("systemctl", "start", "orders@8082", "web.socket")
	h.runs(first, second, web)

	h.run("systemctl", "reload", "--no-block", "orders@8082")
	for h.run("systemctl", "show", "--property=ActiveState", "--value", "orders@8082") != "active\n" {
		if got, err := h.found(); err != nil || !strings.Contains(got, second) {
			t.Fatalf("while it is reloaded: %s (%v)", got, err)
		}
	}
	h.run("systemctl", "stop", "--no-block", "orders@8082")
	h.runs(first, strings.ReplaceAll(second, "healthy", "draining"), web)
	h.runs(first, web)
	h.run("systemctl", "kill", "--signal=KILL", "orders@8081")
	h.runs(web)
	h.run("systemctl", "restart", "orders@8081")
	h.runs(first, web)

	h.file("bad.service.d/mend.conf", "[X-Heddle]\nPort=70\n")
	h.file("bad.service", strings.ReplaceAll(unitFiles["bad.service"], "Prot=80\n", ""))
	h.run("systemctl", "daemon-reload")
	h.runs(mended, first, web)
	h.file("bad.service.d/mend.conf", "[X-Heddle]\nPort=seventy\n")
	h.run("systemctl", "daemon-reload")
	h.told("what it said last stays", 1)
	h.runs(mended, first, web)
	h.file("bad.service.d/mend.conf", "")
	h.run("systemctl", "daemon-reload")
	h.runs("bad.service bad healthy", first, web)

	h.run("systemctl", "stop", "dbus.socket", "dbus.service") // systemctl asks systemd itself
	h.told("systemd cannot be asked; what ran last is taken to run on", 1)
	h.run("systemctl", "stop", "bad", "orders@8081")
	h.runs("bad.service bad healthy", strings.ReplaceAll(first, "healthy", "unhealthy"), web)
	h.run("systemctl", "start", "dbus.socket")
	h.runs(web)
	h.told("systemd answers again", 1)
	h.run("systemctl", "daemon-reexec")
	h.run("systemctl", "start", "orders@8082")
	h.runs(second, web)
	h.run("systemctl", "stop", "orders@8082")
	h.runs(web)
	h.withoutDBus(web, second)
	h.intercepts()
}

// withoutDBus has only root find services, by systemd's own socket.
func (h *unitHost) withoutDBus(web, second string) {
	h.run("systemctl", "stop", "dbus.socket", "dbus.service")
	h.run("rm", "/run/dbus/system_bus_socket")
	h.run("systemctl", "restart", "heddle-agent")
	h.told("Without it only root may ask systemd, at /run/systemd/private", 1)
	h.runs()
	h.file("heddle-agent.service.d/root.conf", "[Service]\nUser=root\nGroup=root\n")
	h.run("systemctl", "daemon-reload")
	h.run("systemctl", "restart", "heddle-agent")
	h.runs(web)
	h.run("systemctl", "start", "orders@8082")
	h.runs(second, web)
	h.run("systemctl", "stop", "orders@8082", "web.socket")
	h.runs()
}
