package test

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// TestApplicationsSeeTheirCallers: with TPROXY a call passes the sidecar, and comes to the
// application from its caller's address, by IPv4 and IPv6; removed, it is as it was.
func TestApplicationsSeeTheirCallers(t *testing.T) {
	for _, program := range []string{"nft", "iptables-legacy-restore", "curl", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("not on this machine: %v", err)
		}
	}
	if podsHub.Inside(t, 5*time.Minute) {
		applicationsSeeTheirCallers(t)
	}
}

// routed is all that the kernel of a pod has of rules and routes.
func (p *pod) routed(t *testing.T) string {
	t.Helper()
	all := ""
	for _, line := range []string{
		"nft list ruleset", "iptables-legacy-save -t nat", "iptables-legacy-save -t mangle", "ip6tables-legacy-save -t nat", "ip6tables-legacy-save -t mangle",
		"ip rule", "ip -6 rule", "ip route show table all", "ip -6 route show table all",
	} {
		words := strings.Fields(line)
		out, err := p.in("", words[0], words[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", line, err, out)
		}
		all += "$ " + line + "\n" + changing.ReplaceAllString(string(out), "")
	}
	return all
}

// changing is what counts and tells the time.
var changing = regexp.MustCompile(`(?m)\[\d+:\d+\]|^#.*\n| expires \d+sec`)

func applicationsSeeTheirCallers(t *testing.T) {
	outsideWorld(t)
	began := time.Now()
	step := func(name string) {
		t.Logf("%s: %s", name, time.Since(began).Round(time.Millisecond))
		began = time.Now()
	}
	s := startServer(t, "--tls-listen", podHub+":0", "--xds-tls-listen", podHub+":0", "--require-identity", "--mtls", "permissive")
	orders, stock := service("orders", mesh.HTTP), service("stock", mesh.HTTP)
	orders.Port, stock.Port = 8080, 8080
	s.declare(orders, stock, service("web", mesh.HTTP, "orders", "stock"))
	byTProxy := []string{"--app-port", "8080", "--intercept-mode", "tproxy"}
	called := map[string]*pod{"nft": newPod(t, s, 0, "orders", byTProxy...), "iptables-legacy": newPod(t, s, 1, "stock", byTProxy...)}
	web := newPod(t, s, 2, "web")
	if out, err := called["nft"].Command("", called["nft"].Arguments...).CombinedOutput(); err == nil || !strings.Contains(string(out), "AmbientCapabilities=CAP_NET_ADMIN") {
		t.Errorf("without the capability: %v: %s", err, out)
	}
	step("a mesh and its pods")
	before := map[string]string{}
	for backend, one := range called {
		one.mayTProxy = true
		before[backend] = one.routed(t)
		one.intercepts(t, "--inbound-ports", "8080", "--backend", backend, "--mode", "tproxy", "--tproxy-table", "78")
		one.startApp(t, "http 8080 "+backend)
	}
	web.intercepts(t)
	other := append(slices.Clone(called["nft"].Arguments), "--app-port", "8081") // callers would wait for ever
	if out, err := called["nft"].Command("", other...).CombinedOutput(); err == nil || !strings.Contains(string(out), "--app-port 8081 is not one of the ports") {
		t.Errorf("another port: %v: %s", err, out)
	}
	step("rules")
	for _, address := range []string{"10.78.0.1", "[fd78::1]"} { // nobody gets past a sidecar that is not there
		if out, err := exec.Command("curl", "-sS", "--max-time", "0.5", "http://"+address+":8080/").CombinedOutput(); err == nil {
			t.Errorf("without a sidecar: %s", out)
		}
	}
	step("without sidecars")
	var starting sync.WaitGroup
	for _, one := range []*pod{called["nft"], called["iptables-legacy"], web} {
		starting.Go(func() { one.startSidecar(t) })
	}
	starting.Wait()
	step("sidecars")
	for backend, one := range called {
		name := map[string]string{"nft": "orders", "iptables-legacy": "stock"}[backend]
		for url, from := range map[string]string{one.address: podHub + ":", "[" + one.address6 + "]": "[" + podHub6 + "]:"} {
			status, body := fetched(t, "http://"+url+":8080/")
			if want := backend + ", to " + from; status != http.StatusOK || !strings.HasPrefix(body, want) {
				t.Errorf("%d %q, not %q\n%s", status, body, want, one.Log.String())
			}
		}
		heddletest.Eventually(t, "a call of the mesh", func() error {
			want := backend + ", to " + web.address + ":"
			if status, body, err := web.curl(appUID, "http://"+name+".mesh:8080/"); status != http.StatusOK || !strings.HasPrefix(body, want) {
				return fmt.Errorf("%d %q (%w), not %q", status, body, err, want)
			}
			return nil
		})
		if status, body, err := one.curl(appUID, "http://"+one.address+":8080/"); status != http.StatusOK || !strings.HasPrefix(body, backend+", to "+one.address) {
			t.Errorf("from its own machine: %d %q %v", status, body, err)
		}
		if got := one.counts(t, "http.inbound.downstream_rq_total"); got != 3 {
			t.Errorf("%s: %d of 3 calls went through the sidecar", backend, got)
		}
		if name == "stock" { // takes nothing but mutual TLS from now on
			stock.Access.MTLS = mesh.Strict
			s.declare(stock)
			heddletest.Eventually(t, "plain text is refused", func() error {
				if out, err := exec.Command("curl", "-sS", "--max-time", "5", "http://"+one.address+":8080/").CombinedOutput(); err == nil {
					return fmt.Errorf("got %q", out)
				}
				return nil
			})
			if status, body, err := web.curl(appUID, "http://stock.mesh:8080/"); status != http.StatusOK || !strings.HasPrefix(body, backend+", to "+web.address+":") {
				t.Errorf("strict, by mutual TLS: %d %q %v", status, body, err)
			}
		}
		one.do(t, "nsenter", "--net=/run/netns/"+one.namespace, one.heddle, "intercept", "remove", "--keep-unit")
		if diff := cmp.Diff(before[backend], one.routed(t)); diff != "" {
			t.Errorf("%s: not as it was:\n%s", backend, diff)
		}
		if status, body := fetched(t, "http://"+one.address+":8080/"); status != http.StatusOK || !strings.HasPrefix(body, backend+", to "+podHub) {
			t.Errorf("removed: %d %q", status, body)
		}
		step(backend)
	}
}

// fetched gives what a server answers to the hub.
func fetched(t *testing.T, url string) (status int, body string) {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url) //nolint:noctx // it has a timeout
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return response.StatusCode, string(text)
}
