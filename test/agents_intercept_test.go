package test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/heddletest"
)

// newPlainHost makes a host of a fleet in the pod's namespace of a number: an agent as
// a user of its own, which answers names, and the file of what it runs.
func newPlainHost(t *testing.T, number int, keys string, runs string) *pod {
	t.Helper()
	p := newMachine(t, number, podHub, map[string]string{"keys": keys, "services": runs}, "run")
	p.runs(t, "agent", "--name", fmt.Sprint("host-", number), "--address", p.address, "--seed", "10.78.0.1", "--key-file", p.file("keys"),
		"--services", p.file("services"), "--envoy", p.file("envoy"), "--resolv-conf", p.resolvConf, "--ready-file", p.file("run/ready.json"), "--intercept")
	return p
}

// TestHostsCallByName: two hosts without a server, each a network namespace with an
// agent, its rules and an application that knows nothing but names.
func TestHostsCallByName(t *testing.T) {
	for _, program := range []string{"iptables-restore", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("not on this machine: %v", err)
		}
	}
	if podsHub.Inside(t, 5*time.Minute) {
		hostsCallByName(t)
	}
}

func hostsCallByName(t *testing.T) {
	outsideWorld(t)
	keys := gossipKey()
	runs := newPlainHost(t, 0, keys, `[{"Service": {"Name": "orders", "Ports": [{"Port": 8080, "ServicePort": 9001}]}},
		{"Service": {"Name": "tcp_db", "ProxyMode": "tcp", "Ports": [{"Port": 6432, "ServicePort": 5432}]}}]`)
	calls := newPlainHost(t, 1, keys, "[]")
	runs.startApp(t, "http 8080 orders here")
	database := runs.in(appUID, filepath.Join(runs.dir, "app"))
	database.Env = append(os.Environ(), podApp+"=tcp 6432 rows here")
	if err := database.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Process.Kill(); _ = database.Wait() })
	for _, one := range []*pod{runs, calls} {
		one.intercepts(t)
		one.startSidecar(t)
	}
	wants := func(from *pod, user, url string, status int, text string) {
		t.Helper()
		began := time.Now()
		defer func() { t.Logf("%s: %s", url, time.Since(began).Round(time.Millisecond)) }()
		heddletest.Eventually(t, url, func() error {
			got, body, err := from.curl(user, url)
			if got != status || !strings.Contains(body, text) {
				return fmt.Errorf("got %d %q, %s\n%s", got, body, fmt.Sprint(err), from.Log.String())
			}
			return nil
		})
	}
	for _, from := range []*pod{calls, runs} { // a host calls its own copies, too
		wants(from, appUID, "http://orders.mesh/", http.StatusOK, "orders here, to "+from.address)
		wants(from, appUID, "http://orders.mesh:9001/", http.StatusOK, "orders here")
		wants(from, appUID, "telnet://tcp-db.mesh:5432", 0, "rows here")
		wants(from, appUID, "http://outside.test:8088/", http.StatusOK, "outside")
		wants(from, appUID, "http://nobody.mesh/", http.StatusNotFound, "no host of the fleet runs a service \"nobody\"")
		if status, _, err := from.curl(proxyUID, "http://orders.mesh/"); err == nil {
			t.Errorf("the agent's user asks the mesh: %d", status)
		}
	}
	if got := calls.counts(t, "tcp.outside.downstream_cx_total"); got != 1 {
		t.Errorf("%d connections to the outside went through the proxy, not the application's one: gossip and xDS are the agent's own", got)
	}
	for _, one := range []*pod{runs, calls} {
		one.do(t, "nsenter", "--net=/run/netns/"+one.namespace, one.heddle, "intercept", "remove", "--keep-unit")
	}
	if _, _, err := calls.curl(appUID, "http://orders.mesh/"); err == nil {
		t.Error("orders.mesh is reached still")
	}
	wants(calls, appUID, "http://"+podHub+":8088/", http.StatusOK, "outside")
}
