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

	"github.com/heddle-mesh/heddle/internal/azuretest"
	"github.com/heddle-mesh/heddle/internal/childtest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

const machinesVariable, machineCount = "HEDDLE_TEST_MACHINES", 12

// machinesHub is where machines of the cloud are reached, each in a network of its own.
var machinesHub = heddletest.Hub{Variable: machinesVariable, Name: func() string { return machineNamespace(-1) }, Build: buildMachines, Drop: dropMachines}

// machineNamespace names the network of a machine; the hub's is -1.
func machineNamespace(i int) string {
	return fmt.Sprintf("hdv-%s-%d", os.Getenv(machinesVariable), i+1)
}

func machineAddress(i int) string { return fmt.Sprintf("10.79.0.%d", i+1) }

func buildMachines() error {
	hub := machineNamespace(-1)
	steps := []string{
		"netns add " + hub, "-n " + hub + " link set lo up", "-n " + hub + " link add br0 type bridge",
		"-n " + hub + " addr add 10.79.0.254/24 dev br0", "-n " + hub + " link set br0 up",
	}
	for i := range machineCount {
		one := machineNamespace(i)
		steps = append(steps,
			"netns add "+one,
			fmt.Sprintf("-n %s link add vm%d type veth peer name eth0 netns %s", hub, i, one),
			fmt.Sprintf("-n %s link set vm%d master br0 up", hub, i),
			"-n "+one+" link set lo up",
			fmt.Sprintf("-n %s addr add %s/24 dev eth0", one, machineAddress(i)),
			"-n "+one+" link set eth0 up",
		)
	}
	for _, step := range steps {
		if err := ip(step); err != nil {
			return err
		}
	}
	return nil
}

func dropMachines() {
	for i := -1; i < machineCount; i++ {
		_ = ip("netns del " + machineNamespace(i))
	}
}

// startMachine runs the application of a machine, that says its name, in its network; end
// ends it, as its cloud does.
func startMachine(t *testing.T, number int) (end func()) {
	t.Helper()
	command := exec.Command("nsenter", "--net=/run/netns/"+machineNamespace(number), os.Args[0])
	command.Env = append(os.Environ(), podApp+"=http 8080 "+machineName(number))
	command.Stderr = os.Stderr
	machine, err := childtest.Start(command)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(machine.Kill)
	heddletest.Eventually(t, machineName(number)+" to listen", func() error {
		_, err := ask(t, machineAddress(number)+":8080", "shop", "/")
		return err
	})
	return machine.Kill
}

func machineName(number int) string { return fmt.Sprintf("machine-%02d", number) }

// TestMachinesOfAzureServeRequests: an Azure whose machines come, go, change and cannot be
// listed; a server that follows it; and a gateway's Envoy, through which requests flow all
// the time. None of them fails, whoever runs them.
func TestMachinesOfAzureServeRequests(t *testing.T) {
	if testing.Short() {
		t.Skip("-short leaves out the minute of machines")
	}
	if machinesHub.Inside(t, 5*time.Minute) {
		machinesOfAzure(t)
	}
}

// azureOfMachines is where the machines of the hub are listed, and a server follows it.
type azureOfMachines struct {
	*azuretest.Azure
	server *server
}

const machinesSubscription = "00000000-0000-0000-0000-000000000001"

func followAzure(t *testing.T) *azureOfMachines {
	t.Helper()
	cloud := azuretest.New(t)
	for name, value := range cloud.Env() {
		t.Setenv(name, value)
	}
	settings := filepath.Join(t.TempDir(), "discovery.yaml")
	text := "sources: [{name: azure, interval: 1s, longest: 1s, azure: " + strings.Replace(cloud.Settings(), "{", "{subscriptions: [{id: "+machinesSubscription+"}], ", 1) + "}]\n"
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return &azureOfMachines{cloud, startServer(t, "--discovery", settings)}
}

// lists has a machine listed as one that runs services.
func (a *azureOfMachines) lists(number int, services string, more ...func(*azuretest.VM)) {
	vm := azuretest.VM{Subscription: machinesSubscription, Group: "shop", Name: machineName(number), Tags: map[string]string{"heddle-service": services}, NICs: []azuretest.NIC{azuretest.Address(machineAddress(number), "")}}
	for _, f := range more {
		f(&vm)
	}
	a.Put(vm)
}

func (a *azureOfMachines) change(number int, to func(*azuretest.VM)) {
	a.Change(machinesSubscription, "shop", machineName(number), to)
}

func (a *azureOfMachines) deleted(number int) {
	a.Delete(machinesSubscription, "shop", machineName(number))
}

// ofMachines declares a service whose instances are machines, and a route to it.
func (a *azureOfMachines) ofMachines(name string, more ...func(*mesh.Service)) {
	a.server.t.Helper()
	one := service(name, mesh.HTTP)
	one.Endpoints.VMs = &mesh.VMEndpoints{Sources: []string{"azure"}}
	for _, f := range more {
		f(&one)
	}
	a.server.declare(one)
	a.server.route(route(name, name+".example.com", name))
}

func machinesOfAzure(t *testing.T) {
	cloud := followAzure(t)
	cloud.ofMachines("orders")
	ends := map[int]func(){}
	for i := range 2 {
		ends[i] = startMachine(t, i)
		cloud.lists(i, "orders:8080")
	}
	g := startGateway(t, cloud.server)
	g.wants("orders.example.com", "/", http.StatusOK, machineName(1))
	f := startTraffic(t, g, "orders.example.com")
	f.only(t, "two machines", 0, 1)

	ends[2] = startMachine(t, 2)
	cloud.lists(2, "orders:8080")
	f.only(t, "one comes", 0, 1, 2)

	cloud.change(0, func(v *azuretest.VM) { v.Power = "deallocating" })
	f.only(t, "one is deallocated, and drains", 1, 2)
	ends[0]()
	cloud.change(0, func(v *azuretest.VM) { v.Power = "deallocated" })
	f.only(t, "it is deallocated", 1, 2)
	ends[0] = startMachine(t, 0)
	cloud.change(0, func(v *azuretest.VM) { v.Power = "running" })
	f.only(t, "it runs again", 0, 1, 2)

	cloud.change(1, func(v *azuretest.VM) { v.Tags = nil })
	f.only(t, "one has its tag taken away", 0, 2)
	cloud.deleted(2)
	f.only(t, "one is deleted", 0)
	ends[2]()

	ends[3] = startMachine(t, 3)
	cloud.lists(3, "orders:8080")
	f.only(t, "one is to replace another", 0, 3)
	cloud.deleted(0)
	f.only(t, "it has replaced it", 3)
	ends[0]()

	for _, status := range []int{http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusForbidden} {
		cloud.Fail(func(azuretest.Request) *azuretest.Failure {
			return &azuretest.Failure{Status: status, Code: "Failing", RetryAfter: time.Second}
		})
		heddletest.Eventually(t, fmt.Sprintf("Azure to answer %d", status), func() error {
			return said(t, cloud.server, "/api/discovery", fmt.Sprint(status))
		})
		f.only(t, fmt.Sprintf("Azure answers with %d", status), 3)
	}
	ends[4] = startMachine(t, 4)
	cloud.lists(4, "orders:8080")
	cloud.Fail(nil)
	f.only(t, "Azure is back, with one more", 3, 4)

	scaled := func(power func(int) string, numbers ...int) {
		set := azuretest.ScaleSet{Subscription: machinesSubscription, Group: "shop", Name: "pool", Tags: map[string]string{"heddle-service": "orders:8080"}}
		for _, i := range numbers {
			set.Instances = append(set.Instances, azuretest.VM{Name: fmt.Sprint(i), Power: power(i), Tags: set.Tags, NICs: []azuretest.NIC{azuretest.Address(machineAddress(i), "")}})
		}
		cloud.PutScaleSet(set)
	}
	running := func(int) string { return "running" }
	for i := 5; i <= 9; i++ {
		ends[i] = startMachine(t, i)
	}
	scaled(running, 5, 6)
	f.only(t, "a scale set of two", 3, 4, 5, 6)
	scaled(running, 5, 6, 7, 8, 9)
	f.only(t, "it is scaled out to five", 3, 4, 5, 6, 7, 8, 9)
	scaled(func(i int) string {
		if i > 5 {
			return "deallocating"
		}
		return "running"
	}, 5, 6, 7, 8, 9)
	f.only(t, "it is scaled in to one", 3, 4, 5)
	for i := 6; i <= 9; i++ {
		ends[i]()
	}
	scaled(running, 5)
	f.only(t, "it has one", 3, 4, 5)
	f.none(t)
}

// said says whether an address of the server's answers with a text.
func said(t *testing.T, s *server, path, text string) error {
	t.Helper()
	address := strings.TrimPrefix(s.rest, "http://")
	got, err := ask(t, address, address, path, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+s.token) })
	if err == nil && !strings.Contains(got.body, text) {
		err = fmt.Errorf("%s answers %s", path, got.body)
	}
	return err
}
