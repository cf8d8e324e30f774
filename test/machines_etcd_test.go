package test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/childtest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// TestMachinesOutliveTheRegistry: while etcd stands still, and while it is gone, machines
// come and end. Nothing is withdrawn, no request fails, and once it is back what there is
// then follows.
func TestMachinesOutliveTheRegistry(t *testing.T) {
	if testing.Short() {
		t.Skip("-short leaves out the minutes of machines")
	}
	if !machinesHub.Inside(t, 5*time.Minute) {
		return
	}
	config := memberConfig{Name: "m0", Address: "127.0.0.1", Dir: filepath.Join(t.TempDir(), "etcd"), Cluster: "m0=http://127.0.0.1:2380"}
	etcd := startEtcd(t, config)
	ends := map[int]func(){}
	for i := range 3 {
		ends[i] = startMachine(t, i)
	}
	s := startFinder(t, "http://127.0.0.1:2379", 0, 1)
	s.ofSources("dc")
	s.route(route("orders", "orders.example.com", "orders"))
	g := startGateway(t, s.server)
	g.wants("orders.example.com", "/", http.StatusOK, machineName(1))
	f := startTraffic(t, g, "orders.example.com")
	f.only(t, "two machines", 0, 1)

	if err := etcd.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s.has(0, 2)
	g.keeps(t, 15*time.Second)
	ends[1]()
	g.keeps(t, 15*time.Second)
	f.only(t, "etcd stands still, and one ends", 0)
	if err := etcd.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	f.only(t, "etcd goes on", 0, 2)

	etcd.Kill()
	startMachine(t, 1)
	s.has(0, 1, 2)
	g.keeps(t, time.Minute)
	startEtcd(t, config)
	f.only(t, "etcd was killed, and is back", 0, 1, 2)
	f.none(t)
}

// startEtcd runs an etcd of one member, which ends with the test.
func startEtcd(t *testing.T, config memberConfig) *childtest.Child {
	t.Helper()
	encoded, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), etcdMember+"="+string(encoded))
	command.Stderr = os.Stderr
	etcd, err := childtest.Start(command)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = etcd.Signal(syscall.SIGCONT); etcd.Kill() })
	heddletest.Eventually(t, "etcd to serve", func() error {
		_, err := ask(t, config.Address+":2379", "etcd", "/version")
		return err
	})
	return etcd
}

// ofSources declares orders, whose machines are those of sources.
func (f *finder) ofSources(sources ...string) {
	f.t.Helper()
	orders := service("orders", mesh.HTTP)
	orders.Endpoints.VMs = &mesh.VMEndpoints{Sources: sources}
	orders.HealthCheck = &mesh.HealthCheck{Type: mesh.CheckTCP, Interval: mesh.Duration(2 * time.Second)}
	orders.Traffic.Retries = &mesh.Retries{Attempts: 2, On: []string{"connect-failure", "refused-stream", "reset"}}
	f.declare(orders)
}

// keeps looks for a while that the gateway's Envoy has the two machines that it had.
func (g *gateway) keeps(t *testing.T, long time.Duration) {
	t.Helper()
	for end := time.Now().Add(long); time.Now().Before(end); <-time.After(100 * time.Millisecond) {
		if is := g.count(t, "orders", "membership_total"); is != 2 {
			t.Fatalf("the gateway has %d machines, of the two that were known", is)
		}
	}
}
