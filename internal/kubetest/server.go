package kubetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
)

// controllers that the controller manager runs: those that answer to what tests
// do. Those that watch hosts are left out, since nobody sends a host's heartbeats.
var controllers = []string{
	"endpointslice-controller", "namespace-controller", "garbage-collector-controller",
	"serviceaccount-controller", "serviceaccount-token-controller", "root-ca-certificate-publisher-controller",
	"deployment-controller", "replicaset-controller", "statefulset-controller", "daemonset-controller", "job-controller",
	"clusterrole-aggregation-controller", "validatingadmissionpolicy-status-controller",
}

// freePort finds a port that stays free while its process is stopped: below
// those that the kernel gives to connections and to who listens on port 0.
func freePort() (int, error) {
	var err error
	for range 100 {
		port := 20000 + rand.IntN(12000)
		var listener net.Listener
		if listener, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, listener.Close()
		}
	}
	return 0, fmt.Errorf("no free port on 127.0.0.1 from 20000 to 31999: %w", err)
}

func (c *Cluster) startEtcd() error {
	port, err := freePort()
	if err != nil {
		return err
	}
	c.etcdURL = fmt.Sprintf("http://127.0.0.1:%d", port)
	c.etcd, err = start(c.folder, c.programs["etcd"], "--data-dir", c.file("etcd"), "--log-level", "warn", "--unsafe-no-fsync",
		"--listen-client-urls", c.etcdURL, "--advertise-client-urls", c.etcdURL, "--listen-peer-urls", "http://127.0.0.1:0",
		"--unsafe-no-fsync") // what a test stored need not outlive the machine
	if err != nil {
		return err
	}
	return c.etcd.await("answer", func() error { _, err := c.revision(); return err })
}

func (c *Cluster) apiServerFlags(port int) []string {
	return []string{
		"--etcd-servers=" + c.etcdURL, "--etcd-prefix=/registry",
		"--advertise-address=" + hostIP, // told to nobody; without it a machine needs a default route
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", port),
		"--tls-cert-file=" + c.file("server.pem"), "--tls-private-key-file=" + c.file("server.key"),
		"--client-ca-file=" + c.file("ca.pem"), "--token-auth-file=" + c.file("tokens.csv"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + c.file("accounts.key"), "--service-account-signing-key-file=" + c.file("accounts.key"),
		"--authorization-mode=Node,RBAC", "--service-cluster-ip-range=10.96.0.0/16", "--allow-privileged=true",
		"--shutdown-send-retry-after=true", // else a stop waits a minute for watches
		"--endpoint-reconciler-type=none",  // its own address is on loopback, which Endpoints refuse
	}
}

func (c *Cluster) startServer() error {
	var err error
	if c.server, err = start(c.folder, c.programs["kube-apiserver"], c.serverFlags...); err != nil {
		return err
	}
	return c.server.await("become ready", c.healthy)
}

func (c *Cluster) startControllers() error {
	var err error
	c.controllers, err = start(c.folder, c.programs["kube-controller-manager"],
		"--kubeconfig="+c.Kubeconfig, "--controllers="+strings.Join(controllers, ","),
		"--leader-elect=false", "--secure-port=0", "--kube-api-qps=1000", "--kube-api-burst=1000",
		"--root-ca-file="+c.file("ca.pem"), "--service-account-private-key-file="+c.file("accounts.key"))
	if err != nil {
		return err
	}
	return c.controllers.await("make the service account of the namespace default", func() error { return c.settled("default") })
}

// StopServer ends the API server as an upgrade does, by SIGTERM: what is under
// way is answered, watches are closed. etcd and the controller manager stay.
func (c *Cluster) StopServer(t testing.TB) {
	t.Helper()
	if c.server == nil {
		t.Fatal("the API server is stopped already")
	}
	if err := c.server.stop(); err != nil {
		t.Error(err)
	}
	c.server = nil
}

// KillServer ends the API server without any warning, as a crash does.
func (c *Cluster) KillServer(t testing.TB) {
	t.Helper()
	if c.server == nil {
		t.Fatal("the API server is stopped already")
	}
	c.server.Kill()
	c.server = nil
}

// StartServer starts the API server again, on the same port and with the same
// objects, and returns once it is ready.
func (c *Cluster) StartServer(t testing.TB) {
	t.Helper()
	if c.server != nil {
		t.Fatal("the API server runs already")
	}
	if err := c.startServer(); err != nil {
		t.Fatal(err)
	}
}

// Compact has etcd forget all but the newest of what it stores. A watch from an
// earlier resource version gets 410 Gone from an API server that was started
// since, or that runs with --watch-cache=false; others remember changes by themselves.
func (c *Cluster) Compact(t testing.TB) {
	t.Helper()
	revision, err := c.revision()
	if err == nil {
		err = c.ask("/v3/kv/compaction", fmt.Sprintf(`{"revision":%q,"physical":true}`, revision), nil)
	}
	if err != nil {
		t.Fatalf("compact etcd: %v", err)
	}
}

// revision is etcd's newest.
func (c *Cluster) revision() (string, error) {
	var answer struct{ Header struct{ Revision string } }
	err := c.ask("/v3/kv/range", `{"key":"AA=="}`, &answer)
	return answer.Header.Revision, err
}

// ask calls etcd's JSON gateway, on a connection of its own.
func (c *Cluster) ask(path, body string, into any) error {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, c.etcdURL+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: startTimeout}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("etcd %s: %s: %s", path, response.Status, bytes.TrimSpace(answer))
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}
