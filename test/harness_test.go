// Package test plays Heddle as its users run it: a real `heddle server`
// process, real Envoys, real etcd, applications on loopback.
package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

func TestMain(m *testing.M) {
	if config := os.Getenv(etcdMember); config != "" {
		os.Exit(runEtcdMember(config))
	}
	if says := os.Getenv(podApp); says != "" {
		os.Exit(runPodApp(says))
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { heddle.Remove(); heddleAgent.Remove(); os.Exit(code) }))
}

var (
	heddle      heddletest.Program
	heddleAgent = heddletest.Program{Name: "heddle-agent"}
)

// deadline bounds each wait of these tests.
const deadline = heddletest.Patience

// server is a `heddle server` process.
type server struct {
	*heddletest.Process
	t testing.TB

	rest, xds       string
	restTLS, xdsTLS string // with --tls-listen and --xds-tls-listen
	authz           string // with --authz-listen
	token           string
	client          *client.Client
}

// startServer runs a server on free ports, with its data in a folder of the test.
func startServer(t testing.TB, arguments ...string) *server {
	t.Helper()
	dir := t.TempDir()
	tokenFile := filepath.Join(dir, "token")
	all := append([]string{"server", "--listen", "127.0.0.1:0", "--xds-listen", "127.0.0.1:0", "--admin-token-file", tokenFile}, arguments...)
	if !slices.Contains(arguments, "--etcd-endpoints") {
		all = append(all, "--data-dir", filepath.Join(dir, "data"))
	}
	s := &server{t: t, Process: heddle.Process(t, all...)}
	s.start()
	if token, err := os.ReadFile(tokenFile); err == nil { // only the first server on an etcd makes one
		s.token = strings.TrimSpace(string(token))
	}
	s.client = s.newClient(s.token)
	return s
}

func (s *server) newClient(token string) *client.Client {
	s.t.Helper()
	c, err := client.New(client.Config{Address: s.rest, Token: token})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

func (s *server) start() {
	s.t.Helper()
	s.Run()
	s.awaitReady()
}

func (s *server) awaitReady() {
	s.t.Helper()
	var said struct{ REST, XDS, RESTTLS, XDSTLS, Authz string }
	s.AwaitReady(&said)
	s.rest, s.xds, s.restTLS, s.xdsTLS, s.authz = said.REST, said.XDS, said.RESTTLS, said.XDSTLS, said.Authz
}

// restart starts it again, on the addresses that it had.
func (s *server) restart() {
	s.t.Helper()
	s.RunAt(map[string]string{"--listen": s.rest, "--xds-listen": s.xds, "--tls-listen": s.restTLS, "--xds-tls-listen": s.xdsTLS})
	s.awaitReady()
}

// declare writes services.
func (s *server) declare(services ...mesh.Service) {
	s.t.Helper()
	for _, one := range services {
		if _, err := s.client.PutService(s.t.Context(), one); err != nil {
			s.t.Fatal(err)
		}
	}
}

// register registers an instance of a service at an address of this machine.
func (s *server) register(service, id, address string, change ...func(*mesh.Instance)) mesh.Instance {
	s.t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		s.t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		s.t.Fatal(err)
	}
	one := mesh.Instance{ID: mesh.InstanceID(id), Service: mesh.ServiceName(service), Address: host, Port: mesh.Port(number)}
	for _, f := range change {
		f(&one)
	}
	list, err := s.client.Register(s.t.Context(), []mesh.Instance{one}, 5*time.Minute)
	if err != nil {
		s.t.Fatal(err)
	}
	return list[0]
}

func service(name string, protocol mesh.Protocol, dependencies ...mesh.ServiceName) mesh.Service {
	if dependencies == nil {
		dependencies = []mesh.ServiceName{}
	}
	return mesh.Service{Name: mesh.ServiceName(name), Owner: "team-test", Protocol: protocol, Port: 80, Dependencies: dependencies}
}

// sidecar is a real Envoy on the server's configuration.
type sidecar struct {
	*envoytest.Envoy
	profile           mesh.Proxy
	inbound, outbound string
	ports             map[mesh.ServiceName]string
}

// startSidecar runs an Envoy beside a workload. app is where its application
// listens, "" if it only calls; own are dependencies with a port of their own.
func startSidecar(t testing.TB, s *server, name, id, app string, mode proxy.XDSMode, own ...mesh.ServiceName) *sidecar {
	t.Helper()
	envoytest.Path(t) // before anything else is made: it may skip
	p := mesh.Proxy{Service: mesh.ServiceName(name), Instance: mesh.InstanceID(id), OutboundPort: heddletest.FreePort(t), DependencyPorts: map[mesh.ServiceName]mesh.Port{}}
	side := &sidecar{outbound: heddletest.Loopback(p.OutboundPort), ports: map[mesh.ServiceName]string{}}
	if app != "" {
		_, port, err := net.SplitHostPort(app)
		if err != nil {
			t.Fatal(err)
		}
		number, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		p.InboundAddress, p.InboundPort, p.AppPort = "127.0.0.1", heddletest.FreePort(t), mesh.Port(number)
		side.inbound = heddletest.Loopback(p.InboundPort)
	}
	for _, dependency := range own {
		p.DependencyPorts[dependency] = heddletest.FreePort(t)
		side.ports[dependency] = heddletest.Loopback(p.DependencyPorts[dependency])
	}
	bootstrap, err := proxy.Bootstrap(proxy.BootstrapConfig{Proxy: p, XDS: []string{s.xds}, XDSMode: mode})
	if err != nil {
		t.Fatal(err)
	}
	side.Envoy, side.profile = envoytest.Start(t, bootstrap), p
	return side
}

// app serves HTTP on loopback for the length of a test, and gives its address.
func app(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	return heddletest.Serve(t, "127.0.0.1:0", handler).Addr
}

// says answers with its own name.
func says(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }
}

// answer is what a call came to.
type answer struct {
	status int
	header http.Header
	body   string
}

// call asks through a sidecar's outbound listener.
func (s *sidecar) call(t testing.TB, host, path string, change ...func(*http.Request)) (answer, error) {
	t.Helper()
	return ask(t, s.outbound, host, path, change...)
}

func ask(t testing.TB, address, host, path string, change ...func(*http.Request)) (answer, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	for _, f := range change {
		f(request)
	}
	response, err := plainClient.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(body)}, err
}

// plainClient keeps no connections, so that none outlives a test, and shows redirects.
var plainClient = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// wants waits until a call gets a status and a body that holds text.
func (s *sidecar) wants(t testing.TB, host, path string, status int, text string, change ...func(*http.Request)) answer {
	t.Helper()
	var got answer
	heddletest.Eventually(t, fmt.Sprintf("%s%s to answer %d with %q", host, path, status, text), func() (err error) {
		got, err = s.call(t, host, path, change...)
		if err == nil && (got.status != status || !strings.Contains(got.body, text)) {
			err = fmt.Errorf("got %d: %s", got.status, got.body)
		}
		return err
	})
	return got
}

// run runs a program to its end, and gives what it wrote and its exit code.
func run(t testing.TB, path string, arguments ...string) (output string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	command := exec.CommandContext(ctx, path, arguments...)
	data, err := command.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("heddle %s did not end within %s:\n%s", strings.Join(arguments, " "), deadline, data)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(data), command.ProcessState.ExitCode()
}
