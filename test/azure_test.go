package test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/azuretest"
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
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	end = sync.OnceFunc(func() { _ = command.Process.Kill(); _ = command.Wait() })
	t.Cleanup(end)
	heddletest.Eventually(t, machineName(number)+" to listen", func() error {
		_, err := ask(t, machineAddress(number)+":8080", "shop", "/")
		return err
	})
	return end
}

func machineName(number int) string { return fmt.Sprintf("machine-%02d", number) }

// traffic asks a gateway all the time, and remembers who answered when.
type traffic struct {
	mu     sync.Mutex
	seen   map[string]time.Time // guarded by mu
	sent   int                  // guarded by mu
	failed []string             // guarded by mu
	stop   func()
}

func startTraffic(t *testing.T, g *gateway, host string) *traffic {
	t.Helper()
	f := &traffic{seen: map[string]time.Time{}}
	ended := make(chan struct{})
	var workers sync.WaitGroup
	for range 3 {
		workers.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
				}
				got, err := ask(t, g.http, host, "/")
				f.mu.Lock()
				if f.sent++; err != nil || got.status != http.StatusOK {
					f.failed = append(f.failed, fmt.Sprint(got.status, got.body, err))
				} else {
					name, _, _ := strings.Cut(got.body, ",")
					f.seen[name] = time.Now()
				}
				f.mu.Unlock()
			}
		})
	}
	f.stop = sync.OnceFunc(func() { close(ended); workers.Wait() })
	t.Cleanup(f.stop)
	return f
}

// only waits until these machines answer, and nobody else has for a second.
func (f *traffic) only(t *testing.T, what string, numbers ...int) {
	t.Helper()
	began := time.Now()
	wanted := map[string]bool{}
	for _, one := range numbers {
		wanted[machineName(one)] = true
	}
	heddletest.Eventually(t, what, func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		for name := range wanted {
			if !f.seen[name].After(began) {
				return fmt.Errorf("%s has not answered", name)
			}
		}
		for name, at := range f.seen {
			if !wanted[name] && time.Since(at) < time.Second {
				return fmt.Errorf("%s answered", name)
			}
		}
		return nil
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	t.Logf("%-40s %5.1f s, %d requests, %d failed", what, time.Since(began).Seconds(), f.sent, len(f.failed))
}

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

func machinesOfAzure(t *testing.T) {
	const subscription = "00000000-0000-0000-0000-000000000001"
	cloud := azuretest.New(t)
	for name, value := range cloud.Env() {
		t.Setenv(name, value)
	}
	machine := func(number int) azuretest.VM {
		return azuretest.VM{Subscription: subscription, Group: "shop", Name: machineName(number), Tags: map[string]string{"heddle-service": "orders:8080"}, NICs: []azuretest.NIC{azuretest.Address(machineAddress(number), "")}}
	}
	change := func(number int, to func(*azuretest.VM)) { cloud.Change(subscription, "shop", machineName(number), to) }
	deleted := func(number int) { cloud.Delete(subscription, "shop", machineName(number)) }
	settings := filepath.Join(t.TempDir(), "discovery.yaml")
	text := "sources: [{name: azure, interval: 1s, longest: 1s, azure: " + strings.Replace(cloud.Settings(), "{", "{subscriptions: [{id: "+subscription+"}], ", 1) + "}]\n"
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, "--discovery", settings)
	orders := service("orders", mesh.HTTP)
	orders.Endpoints.VMs = &mesh.VMEndpoints{Sources: []string{"azure"}}
	s.declare(orders)
	s.route(route("shop", "shop.example.com", "orders"))
	ends := map[int]func(){}
	for i := range 2 {
		ends[i] = startMachine(t, i)
		cloud.Put(machine(i))
	}
	g := startGateway(t, s)
	g.wants("shop.example.com", "/", http.StatusOK, machineName(1))
	f := startTraffic(t, g, "shop.example.com")
	f.only(t, "two machines", 0, 1)

	ends[2] = startMachine(t, 2)
	cloud.Put(machine(2))
	f.only(t, "one comes", 0, 1, 2)

	change(0, func(v *azuretest.VM) { v.Power = "deallocating" })
	f.only(t, "one is deallocated, and drains", 1, 2)
	ends[0]()
	change(0, func(v *azuretest.VM) { v.Power = "deallocated" })
	f.only(t, "it is deallocated", 1, 2)
	ends[0] = startMachine(t, 0)
	change(0, func(v *azuretest.VM) { v.Power = "running" })
	f.only(t, "it runs again", 0, 1, 2)

	change(1, func(v *azuretest.VM) { v.Tags = nil })
	f.only(t, "one has its tag taken away", 0, 2)
	deleted(2)
	f.only(t, "one is deleted", 0)
	ends[2]()

	ends[3] = startMachine(t, 3)
	cloud.Put(machine(3))
	f.only(t, "one is to replace another", 0, 3)
	deleted(0)
	f.only(t, "it has replaced it", 3)
	ends[0]()

	for _, status := range []int{http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusForbidden} {
		cloud.Fail(func(azuretest.Request) *azuretest.Failure {
			return &azuretest.Failure{Status: status, Code: "Failing", RetryAfter: time.Second}
		})
		heddletest.Eventually(t, fmt.Sprintf("Azure to answer %d", status), func() error {
			return said(t, s, "/api/discovery", fmt.Sprint(status))
		})
		f.only(t, fmt.Sprintf("Azure answers with %d", status), 3)
	}
	ends[4] = startMachine(t, 4)
	cloud.Put(machine(4))
	cloud.Fail(nil)
	f.only(t, "Azure is back, with one more", 3, 4)

	scaled := func(power func(int) string, numbers ...int) {
		set := azuretest.ScaleSet{Subscription: subscription, Group: "shop", Name: "pool", Tags: map[string]string{"heddle-service": "orders:8080"}}
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
	f.stop()
	if len(f.failed) > 0 {
		t.Errorf("%d of %d requests failed, the first: %s", len(f.failed), f.sent, f.failed[0])
	}
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
