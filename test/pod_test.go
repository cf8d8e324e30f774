package test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/envoytest"
)

// podApp is the environment variable that makes this test program the application of
// a pod: "http PORT TEXT", "tcp PORT TEXT", or what it is
// to measure: "lookups RESOLVER COUNT", "pace WAY KEPT".
const podApp = "HEDDLE_TEST_POD_APP"

// runPodApp says its text to whoever comes, on all addresses, until SIGTERM.
func runPodApp(encoded string) int {
	parts := strings.SplitN(encoded, " ", 3)
	if parts[0] == "lookups" {
		return lookUp(parts[1], parts[2])
	}
	if parts[0] == "pace" {
		return runPace(parts[1], parts[2])
	}
	listener, err := net.Listen("tcp", ":"+parts[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ending := make(chan os.Signal, 1)
	signal.Notify(ending, syscall.SIGTERM)
	go func() { <-ending; listener.Close() }()
	if parts[0] == "http" {
		server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s, to %s", parts[2], r.RemoteAddr)
		})}
		_ = server.Serve(listener)
		return 0
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			return 0
		}
		go serveTCP(connection, parts[2])
	}
}

// serveTCP speaks first, and again after a while if it is asked to.
func serveTCP(connection net.Conn, text string) {
	defer connection.Close()
	fmt.Fprintln(connection, text)
	_ = connection.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if _, err := connection.Read(make([]byte, 1)); err == nil {
		time.Sleep(2 * time.Second)
		fmt.Fprintln(connection, "still here")
	}
}

// lookUp asks for names of the mesh and for others, each from a socket of its own,
// and says how many queries were in vain.
func lookUp(resolver, count string) int {
	names := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, resolver)
	}}
	failed := 0
	n, _ := strconv.Atoi(count)
	for range n {
		for _, name := range []string{"orders.mesh.", "outside.test."} {
			if _, err := names.LookupNetIP(context.Background(), "ip4", name); err != nil {
				if failed++; failed == 1 {
					fmt.Println(err)
				}
			}
		}
	}
	fmt.Printf("%d failed\n", failed)
	return 0
}

// The hub of pods, and where its resolver and its server outside of the mesh are.
const (
	podHub   = "10.78.0.254"
	podHub6  = "fd78::fe"
	proxyUID = "1337"
	appUID   = "4242"
)

// pod is a network namespace with an application and a sidecar.
type pod struct {
	*workload
	namespace, address, address6 string
	dir                          string // which the users of the sidecar and of the application can read
	heddle, resolvConf           string
	app                          *exec.Cmd
	mayTProxy                    bool // its sidecar has the capability for that
}

func podNamespaces() (hub string, pods []string) {
	tag := os.Getenv(podsVariable)
	for i := range 3 {
		pods = append(pods, fmt.Sprintf("hdp-%s-%d", tag, i))
	}
	return "hdp-" + tag + "-hub", pods
}

// buildPods makes a hub with a bridge and three pods on it, which leads everywhere else.
func buildPods() error {
	hub, pods := podNamespaces()
	steps := []string{
		"netns add " + hub, "-n " + hub + " link set lo up", "-n " + hub + " link add br0 type bridge",
		"-n " + hub + " addr add " + podHub + "/24 dev br0", "-n " + hub + " addr add " + podHub6 + "/64 dev br0 nodad", "-n " + hub + " link set br0 up",
	}
	for i, one := range pods {
		steps = append(steps,
			"netns add "+one,
			fmt.Sprintf("-n %s link add pod%d type veth peer name eth0 netns %s", hub, i, one),
			fmt.Sprintf("-n %s link set pod%d master br0 up", hub, i),
			"-n "+one+" link set lo up",
			fmt.Sprintf("-n %s addr add 10.78.0.%d/24 dev eth0", one, i+1),
			fmt.Sprintf("-n %s addr add fd78::%d/64 dev eth0 nodad", one, i+1),
			"-n "+one+" link set eth0 up",
			"-n "+one+" route add default via "+podHub,
		)
	}
	for _, step := range steps {
		if err := ip(step); err != nil {
			return err
		}
	}
	return nil
}

func dropPods() {
	hub, pods := podNamespaces()
	for _, one := range append(pods, hub) {
		_ = ip("netns del " + one)
	}
}

// newMachine makes the folder of the pod, or the host, of a number: with the programs, and
// for the proxy's user some folders of its own, "run" among them.
func newMachine(t *testing.T, number int, nameserver string, files map[string]string, folders ...string) *pod {
	t.Helper()
	_, names := podNamespaces()
	p := &pod{namespace: names[number], address: fmt.Sprintf("10.78.0.%d", number+1), address6: fmt.Sprintf("fd78::%d", number+1)}
	dir, err := os.MkdirTemp("", "heddle-pod-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p.dir, p.heddle, p.resolvConf = dir, filepath.Join(dir, "heddle"), filepath.Join(dir, "resolv.conf")
	for to, from := range map[string]string{p.heddle: heddle.Path(t), p.file("envoy"): envoytest.Path(t), p.file("app"): os.Args[0]} {
		p.do(t, "cp", from, to)
	}
	for _, folder := range folders {
		p.do(t, "install", "-d", "-o", proxyUID, "-m", "0700", p.file(folder))
	}
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // for the users of the pod
			t.Fatal(err)
		}
	}
	write(p.resolvConf, "nameserver "+nameserver+"\n")
	for name, text := range files {
		write(p.file(name), text)
	}
	p.do(t, "chmod", "0755", dir)
	return p
}

func (p *pod) file(name string) string { return filepath.Join(p.dir, name) }

// runs has heddle run there with these arguments, as the proxy's user.
func (p *pod) runs(t *testing.T, arguments ...string) {
	p.workload = &workload{t: t, Process: heddle.Process(t, arguments...)}
	p.Command = func(_ string, arguments ...string) *exec.Cmd {
		command := p.in(proxyUID, p.heddle, arguments...)
		command.Dir = p.file("run")
		return command
	}
}

// newPod makes the pod of a number for a service; nothing runs in it.
func newPod(t *testing.T, s *server, number int, service string, arguments ...string) *pod {
	t.Helper()
	p := newMachine(t, number, "127.0.0.1", map[string]string{"resolvers": "nameserver " + podHub + "\n"}, "run", "identity")
	token, _ := s.joinToken(service, 0, 1)
	p.do(t, "install", "-m", "0644", token, p.file("join"))
	p.runs(t, append([]string{
		"proxy", "--service", service, "--instance", service + "-1", "--intercept", "--envoy", p.file("envoy"),
		"--server", s.restTLS, "--xds", s.xdsTLS, "--identity-dir", p.file("identity"), "--join-token-file", p.file("join"),
		"--ready-file", p.file("run/ready.json"), "--resolv-conf", p.file("resolvers"),
	}, arguments...)...)
	return p
}

// in prepares a program that runs in the pod's network, as a user.
func (p *pod) in(user, program string, arguments ...string) *exec.Cmd {
	line := []string{"--net=/run/netns/" + p.namespace}
	if user == "" {
		line = append(line, program)
	} else { // with the pod's own resolv.conf
		rights := ""
		if p.mayTProxy && user == proxyUID {
			rights = "--inh-caps +net_admin --ambient-caps +net_admin"
		}
		script := `mount --bind "$0" /etc/resolv.conf && exec setpriv --reuid "$1" --regid "$1" --clear-groups ` + rights + ` "${@:2}"`
		line = append(line, "unshare", "--mount", "bash", "-c", script, p.resolvConf, user, program)
	}
	return exec.Command("nsenter", append(line, arguments...)...)
}

func (p *pod) do(t *testing.T, program string, arguments ...string) {
	t.Helper()
	if output, err := exec.Command(program, arguments...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", program, arguments, err, output)
	}
}

// intercepts sets the rules.
func (p *pod) intercepts(t *testing.T, arguments ...string) {
	t.Helper()
	if output, err := p.in("", p.heddle, append([]string{"intercept", "install"}, arguments...)...).CombinedOutput(); err != nil {
		t.Fatalf("heddle intercept install: %v: %s", err, output)
	}
}

// startApp runs the application: "http PORT TEXT" or "tcp PORT TEXT".
func (p *pod) startApp(t *testing.T, says string) {
	t.Helper()
	p.app = p.in(appUID, filepath.Join(p.dir, "app"))
	p.app.Env = append(os.Environ(), podApp+"="+says)
	p.app.Stderr = &p.Log
	if err := p.app.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.app.Process.Signal(syscall.SIGTERM)
		_ = p.app.Wait()
	})
}

// startSidecar runs heddle proxy as its own user, until the pod can serve.
func (p *pod) startSidecar(t *testing.T) {
	t.Helper()
	workloads{p.workload}.start(t)
	t.Cleanup(p.leave)
}

// curl asks as an application of the pod, or another of its users, does.
func (p *pod) curl(user, url string, arguments ...string) (status int, body string, err error) {
	output, err := p.in(user, "curl", append([]string{"-sS", "-m", "20", "-w", "\n%{http_code}", url}, arguments...)...).CombinedOutput()
	text := strings.TrimRight(string(output), "\n")
	at := strings.LastIndex(text, "\n")
	status, _ = strconv.Atoi(strings.TrimSpace(text[at+1:]))
	if at < 0 {
		return status, "", err
	}
	return status, text[:at], err
}

// counts reads one of Envoy's counters, in the pod.
func (p *pod) counts(t *testing.T, name string) int {
	t.Helper()
	data, err := os.ReadFile(p.Ready)
	if err != nil {
		t.Fatal(err)
	}
	_, admin, _ := strings.Cut(string(data), `"admin"`)
	admin = strings.Split(admin, `"`)[1]
	output, err := p.in("", "curl", "-sS", "http://"+admin+"/stats?filter=^"+name+"$").Output()
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for line := range strings.Lines(string(output)) {
		_, value, _ := strings.Cut(line, ": ")
		n, _ := strconv.Atoi(strings.TrimSpace(value))
		total += n
	}
	return total
}
