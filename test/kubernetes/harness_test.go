// Package kubernetes_test plays Heddle with a real Kubernetes API: `heddle server` and
// `heddle operator` as processes, real controllers of Kubernetes, and a real Envoy.
// The tests run in a network namespace of their own, whose loopback has the
// addresses of the pods: EndpointSlices take no address of 127.0.0.0/8.
package kubernetes_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/kubetest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// isolated says that this process runs in the namespace.
const isolated = "HEDDLE_TEST_ISOLATED"

func TestMain(m *testing.M) {
	if says := os.Getenv(podApp); says != "" {
		os.Exit(runPodApp(says))
	}
	if os.Getenv(isolated) == "" {
		os.Exit(isolate())
	}
	goleak.VerifyTestMain(kubetest.Main(m), goleak.Cleanup(func(code int) {
		heddle.Remove()
		os.Exit(code)
	}))
}

// podAddress is the n-th address of the namespace that is not of 127.0.0.0/8.
func podAddress(n int) string { return fmt.Sprintf("10.77.0.%d", n) }

const addresses = 30

// isolate runs the tests again in a namespace.
func isolate() int {
	runtime.LockOSThread() // the child is to end with this process, not with a thread of it
	defer runtime.UnlockOSThread()
	command := exec.Command("/proc/self/exe", os.Args[1:]...)
	command.Env = append(os.Environ(), isolated+"=own")
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	err := command.Run()
	if command.ProcessState == nil { // not allowed to
		command = exec.Command("/proc/self/exe", os.Args[1:]...)
		command.Env = append(os.Environ(), isolated+"="+err.Error())
		command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
		err = command.Run()
	}
	if command.ProcessState == nil {
		fmt.Fprintln(os.Stderr, "run the tests again:", err)
		return 1
	}
	return max(command.ProcessState.ExitCode(), 0)
}

var addressed = sync.OnceValue(func() error {
	if why := os.Getenv(isolated); why != "own" {
		return fmt.Errorf("no network namespace of their own: %s", why)
	}
	lines := []string{"link set lo up"}
	for n := 1; n <= addresses; n++ {
		lines = append(lines, "addr add "+podAddress(n)+"/32 dev lo")
	}
	lines = append(lines, "link add pods type veth peer name hosts", "link set pods up", "link set hosts up", "addr add 10.77.1.1/24 dev pods", "route add default via 10.77.1.2") // the API server wants one
	command := exec.Command("ip", "-batch", "-")
	command.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("ip: %w: %s", err, out)
	}
	return nil
})

// cluster is the Kubernetes of all tests, with Heddle's custom resources.
func cluster(t testing.TB) *kubetest.Cluster {
	t.Helper()
	if err := addressed(); err != nil {
		t.Skip("pods need addresses of their own: ", err)
	}
	c := kubetest.Shared(t)
	installed.Do(func() { install(t, c) })
	return c
}

var installed sync.Once

func install(t testing.TB, c *kubetest.Cluster) {
	t.Helper()
	for _, name := range []string{"meshservices", "upstreams", "meshroutes"} {
		text, err := os.ReadFile("../../api/crds/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		c.Apply(t, string(text))
	}
}

// heddle is plain: it runs in images of the tests.
var heddle = heddletest.Program{Plain: true}

// program is a running heddle.
type program struct {
	*heddletest.Process
	said map[string]string // what the ready file holds
}

// start runs heddle until the test ends.
func start(t testing.TB, arguments ...string) *program {
	t.Helper()
	return &program{Process: heddle.Start(t, arguments...)}
}

func (p *program) awaitReady() { p.AwaitReady(&p.said) }

// hadAllRights fails a test whose operator was refused something, but for what nobody may:
// to write into a namespace that is going, such as that of a test that has ended.
func (p *program) hadAllRights(t testing.TB) {
	t.Helper()
	for line := range strings.Lines(p.Log.String()) {
		if strings.Contains(line, "forbidden") && !strings.Contains(line, "because it is being terminated") {
			t.Errorf("the operator lacks a right: %s", line)
		}
	}
}

// world is a server and an operator that joins the cluster to it.
type world struct {
	t        testing.TB
	cluster  *kubetest.Cluster
	server   *program
	operator *program
	api      *client.Client
	admin    string // file of the admin token
	token    string // file of the operator's
	name     string // of the cluster, in the mesh
}

// join starts a server, and an operator for the cluster.
func join(t testing.TB, c *kubetest.Cluster, flags ...string) *world {
	t.Helper()
	w := &world{t: t, cluster: c, name: "prod"}
	w.serve()
	w.operator = w.newOperator(flags...)
	w.operator.awaitReady()
	return w
}

// serve starts the server, and makes the operator's token.
func (w *world) serve() {
	t := w.t
	t.Helper()
	dir := t.TempDir()
	w.admin, w.token = filepath.Join(dir, "admin"), filepath.Join(dir, "operator")
	w.server = start(t, "server", "--listen", "127.0.0.1:0", "--xds-listen", "127.0.0.1:0", "--data-dir", filepath.Join(dir, "data"), "--admin-token-file", w.admin)
	w.server.awaitReady()
	text, err := os.ReadFile(w.admin)
	if err != nil {
		t.Fatal(err)
	}
	w.api, err = client.New(client.Config{Address: w.server.said["rest"], Token: strings.TrimSpace(string(text))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.api.Close)
	secret := w.heddle("token", "create", "--keeper", "kubernetes/"+w.name, "--vouch-gateways")
	if err := os.WriteFile(w.token, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (w *world) newOperator(flags ...string) *program {
	w.t.Helper()
	return start(w.t, append([]string{"operator", "--server", w.server.said["rest"], "--token-file", w.token, "--log-level", "debug",
		"--cluster", w.name + "=" + w.cluster.Kubeconfig, "--http-listen", "127.0.0.1:0", "--namespace", "default"}, flags...)...)
}

// heddle runs a command of the CLI as an admin.
func (w *world) heddle(arguments ...string) string {
	w.t.Helper()
	command := exec.Command(heddle.Path(w.t), append(arguments, "--server", w.server.said["rest"], "--token-file", w.admin)...)
	var out, faults bytes.Buffer
	command.Stdout, command.Stderr = &out, &faults
	if err := command.Run(); err != nil {
		w.t.Fatalf("heddle %s: %v: %s", strings.Join(arguments, " "), err, faults.String())
	}
	return strings.TrimSpace(out.String())
}

// sidecar is an Envoy beside an instance of a service.
type sidecar struct {
	outbound string
}

// sidecar starts an Envoy for a service that is declared.
func (w *world) sidecar(service string) *sidecar {
	w.t.Helper()
	outbound := heddletest.FreePort(w.t)
	bootstrap, err := proxy.Bootstrap(proxy.BootstrapConfig{
		Proxy: mesh.Proxy{Service: mesh.ServiceName(service), Instance: mesh.InstanceID(service + "-1"), OutboundPort: outbound},
		XDS:   []string{w.server.said["xds"]},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	envoy := envoytest.Start(w.t, bootstrap)
	envoy.WaitReady(w.t)
	return &sidecar{outbound: fmt.Sprintf("127.0.0.1:%d", outbound)}
}

// call asks a service through the sidecar.
func (s *sidecar) call(host string) (status int, body string, err error) {
	request, err := http.NewRequest(http.MethodGet, "http://"+s.outbound+"/", nil)
	if err != nil {
		return 0, "", err
	}
	request.Host = host
	request.Close = true
	answer, err := (&http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, 1<<16))
	return answer.StatusCode, string(data), err
}

// app serves its name at an address until the test ends, or until it is closed.
func app(t testing.TB, address, name string) *http.Server {
	t.Helper()
	return heddletest.Serve(t, address, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) })
}

// awaits is eventually with a condition.
func awaits(t testing.TB, what string, is func() (bool, string)) {
	t.Helper()
	kubetest.Eventually(t, what, func() error {
		if ok, got := is(); !ok {
			return fmt.Errorf("got %s", got)
		}
		return nil
	})
}
