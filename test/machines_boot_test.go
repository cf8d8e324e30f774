package test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/azuretest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// TestMachinesThatBootAreNotAsked: a cloud lists a machine as running long before what is on
// it serves, and while it boots again, or is gone without a word. With what docs/azure.md has
// the reader declare, no request fails, and none even goes to a machine that has just come.
func TestMachinesThatBootAreNotAsked(t *testing.T) {
	if testing.Short() {
		t.Skip("-short leaves out the minute of machines")
	}
	if machinesHub.Inside(t, 5*time.Minute) {
		cloud := followAzure(t)
		const both = "orders:8080,plain:8080"
		cloud.ofMachines("plain")
		cloud.ofMachines("orders", func(s *mesh.Service) {
			s.HealthCheck = &mesh.HealthCheck{Type: mesh.CheckTCP, Interval: mesh.Duration(2 * time.Second)}
		})
		ends := map[int]func(){}
		for i := range 2 {
			ends[i] = startMachine(t, i)
			cloud.lists(i, both)
		}
		g := startGateway(t, cloud.server)
		for _, host := range []string{"orders.example.com", "plain.example.com"} {
			g.wants(host, "/", http.StatusOK, machineName(1))
		}
		machinesBoot(t, cloud, g, both)
		machinesEnd(t, cloud, g, ends)
		machinesNobodyLooksAt(t, cloud, g)
	}
}

// has waits until the gateway's Envoy counts so many machines of a service: all, or those
// that are "healthy".
func (g *gateway) has(t *testing.T, service, which string, machines int) {
	t.Helper()
	heddletest.Eventually(t, fmt.Sprintf("membership_%s of %s to be %d", which, service, machines), func() error {
		if is := g.count(t, service, "membership_"+which); is != machines {
			return fmt.Errorf("it is %d", is)
		}
		return nil
	})
}

// count reads one of the counters that Envoy has of a service.
func (g *gateway) count(t *testing.T, service, name string) int {
	t.Helper()
	n, err := strconv.Atoi(envoyStat(t, g.admin, "cluster."+service+"."+name))
	if err != nil {
		t.Fatalf("%s of %s: %v", name, service, err)
	}
	return n
}

// machinesBoot has more machines come than there are: one whose network is not up, two on
// which nothing listens. Nobody asks them until something does.
func machinesBoot(t *testing.T, cloud *azureOfMachines, g *gateway, services string) {
	f := startTraffic(t, g, "orders.example.com")
	f.only(t, "two machines", 0, 1)
	plug := func(to string) {
		if err := ip("-n " + machineNamespace(-1) + " link set vm2 " + to); err != nil {
			t.Fatal(err)
		}
	}
	plug("down")
	for i := 2; i <= 4; i++ {
		cloud.lists(i, services)
	}
	g.has(t, "orders", "total", 5)
	heddletest.Eventually(t, "each of them to be looked at twice", func() error {
		if failed := g.count(t, "orders", "health_check.failure"); failed < 6 {
			return fmt.Errorf("%d looks have failed", failed)
		}
		return nil
	})
	f.only(t, "three are listed, and boot", 0, 1)
	plug("up")
	for i := 2; i <= 4; i++ {
		startMachine(t, i)
	}
	f.only(t, "they serve", 0, 1, 2, 3, 4)
	f.none(t)
	if again := g.count(t, "orders", "upstream_rq_retry"); again > 0 {
		t.Errorf("%d requests were sent to machines on which nothing listened yet", again)
	}
}

// machinesEnd has machines end of which the cloud says all the time that they run. What was
// under way on them may be asked again: so the service says.
func machinesEnd(t *testing.T, cloud *azureOfMachines, g *gateway, ends map[int]func()) {
	cloud.ofMachines("orders", func(s *mesh.Service) {
		s.HealthCheck = &mesh.HealthCheck{Type: mesh.CheckTCP, Interval: mesh.Duration(2 * time.Second)}
		s.Traffic.Retries = &mesh.Retries{Attempts: 2, On: []string{"connect-failure", "refused-stream", "reset"}, PerTryTimeout: mesh.Duration(2 * time.Second)}
	})
	f := startTraffic(t, g, "orders.example.com")
	f.only(t, "five machines", 0, 1, 2, 3, 4)
	ends[0]()
	g.has(t, "orders", "healthy", 4)
	f.only(t, "one crashes", 1, 2, 3, 4)
	startMachine(t, 0)
	g.has(t, "orders", "healthy", 5)
	f.only(t, "it has booted again", 0, 1, 2, 3, 4)
	if err := ip("-n " + machineNamespace(-1) + " link set vm1 down"); err != nil {
		t.Fatal(err)
	}
	g.has(t, "orders", "healthy", 4)
	f.only(t, "one is gone without a word", 0, 2, 3, 4)
	cloud.deleted(1)
	g.has(t, "orders", "total", 4)
	f.only(t, "it is listed no more", 0, 2, 3, 4)
	f.none(t)
}

// machinesNobodyLooksAt are those of a service without checks. One of which Azure's own
// health says that it has just begun is not asked. Of one of which nobody says anything
// requests come back, and go to another.
func machinesNobodyLooksAt(t *testing.T, cloud *azureOfMachines, g *gateway) {
	g.has(t, "plain", "total", 4)
	f := startTraffic(t, g, "plain.example.com")
	f.only(t, "machines without checks", 0, 2, 3, 4)
	before := g.count(t, "plain", "upstream_rq_retry")
	cloud.lists(5, "plain:8080", func(v *azuretest.VM) { v.Health = "initializing" })
	g.has(t, "plain", "total", 5)
	f.more(t, 200)
	f.only(t, "one is initializing", 0, 2, 3, 4)
	if again := g.count(t, "plain", "upstream_rq_retry") - before; again > 0 {
		t.Errorf("%d requests were sent to a machine that Azure says is initializing", again)
	}
	startMachine(t, 5)
	cloud.change(5, func(v *azuretest.VM) { v.Health = "healthy" })
	f.only(t, "it is healthy", 0, 2, 3, 4, 5)
	cloud.lists(6, "plain:8080")
	g.has(t, "plain", "total", 6)
	f.only(t, "one boots, and nobody says so", 0, 2, 3, 4, 5)
	heddletest.Eventually(t, "a request to come back from it", func() error {
		if g.count(t, "plain", "upstream_rq_retry") == before {
			return errors.New("none was sent to it")
		}
		return nil
	})
	f.none(t)
}
