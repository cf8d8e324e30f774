package test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/azuretest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"golang.org/x/sync/errgroup"
)

var (
	azureMachines = flag.Int("azure-machines", 2000, "machines of TestMachinesSpeed, over 20 subscriptions; make bench-azure has 9,990")
	azureServices = flag.Int("azure-services", 40, "services of TestMachinesSpeed that have them; make bench-azure has 500")
	azureRounds   = flag.Int("azure-rounds", 3, "changes that TestMachinesSpeed times; make bench-azure has 36")
	azureListing  = flag.String("azure-listing", "arm", "how TestMachinesSpeed has them listed: arm or resourceGraph")
	azurePprof    = flag.String("azure-pprof", "", "where the server of TestMachinesSpeed serves profiles")
)

// azureSubscriptions is over how many subscriptions the machines are.
const azureSubscriptions = 20

// TestMachinesSpeed measures what `make bench-azure` shows: what refreshes of many machines
// cost that have not changed, and how long one that has changed takes from the end of the
// listing to the last proxy's acknowledgement, beside an instance that is registered by REST.
// What is written and sent is counted in runs of any size, and has to be no more than it is.
func TestMachinesSpeed(t *testing.T) {
	if testing.Short() {
		t.Skip("-short leaves out the minute of many machines")
	}
	var found []figure
	for _, services := range []int{*azureServices, 1} {
		t.Run(fmt.Sprintf("services=%d", services), func(t *testing.T) {
			f := startFleet(t, services)
			f.figures = &found
			f.steady(max(5, min(*azureRounds, 10)))
			f.changes(*azureRounds)
		})
	}
	if *azureRounds < 30 || len(found) == 0 {
		return
	}
	// Also where a bound was missed: what was measured then is what one wants to see.
	data, err := json.MarshalIndent(found, "", "  ")
	if err == nil {
		err = os.MkdirAll("../.bench", 0o755)
	}
	if err == nil {
		err = os.WriteFile("../.bench/azure-"+*azureListing+".json", append(data, '\n'), 0o644)
	}
	if err != nil {
		t.Error(err)
	}
}

// figure is one that was measured.
type figure struct {
	Services int     `json:"services"`
	Name     string  `json:"name"`
	Value    float64 `json:"value"`
	Unit     string  `json:"unit"`
}

// fleet is a cloud of many machines, a server that follows it, and proxies.
type fleet struct {
	*server
	t        *testing.T
	cloud    *azuretest.Azure
	services int
	writes   *etcdWrites
	proxies  []*acknowledger
	envoy    *acknowledger // one of the proxies, a real one
	figures  *[]figure
	added    int
}

func fleetService(i int) string { return fmt.Sprintf("service-%d", i) }

// machine makes one that is an instance of a service.
func (f *fleet) machine(i, service int) azuretest.VM {
	return azuretest.VM{
		Subscription: fleetSubscription(i % azureSubscriptions), Group: "mesh", Name: fmt.Sprintf("vm-%d", i), Zone: fmt.Sprint(i%3 + 1),
		Tags: map[string]string{"heddle-service": fleetService(service) + ":8080", "team": "shop", "cost-centre": "4711"},
		NICs: []azuretest.NIC{azuretest.Address(fleetAddress(i), "")},
	}
}

func fleetSubscription(i int) string {
	return fmt.Sprintf("00000000-0000-0000-0000-%012d", i+1)
}

func fleetAddress(i int) string { return fmt.Sprintf("10.%d.%d.%d", 100+i>>16, i>>8&255, i&255) }

func startFleet(t *testing.T, services int) *fleet {
	t.Helper()
	f := &fleet{t: t, cloud: azuretest.New(t), services: services}
	for i := range *azureMachines {
		f.cloud.Put(f.machine(i, i%services))
	}
	for name, value := range f.cloud.Env() {
		t.Setenv(name, value)
	}
	var ids []string
	for i := range azureSubscriptions {
		ids = append(ids, "{id: "+fleetSubscription(i)+"}")
	}
	text := fmt.Sprintf("sources: [{name: azure, interval: 1s, longest: 1s, azure: {listing: %s, subscriptions: [%s], %s}]\n", *azureListing, strings.Join(ids, ", "), strings.TrimPrefix(f.cloud.Settings(), "{"))
	settings := filepath.Join(t.TempDir(), "discovery.yaml")
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	etcd := heddletest.Loopback(heddletest.FreePort(t))
	more := []string{"--discovery", settings, "--etcd-listen", etcd}
	if *azurePprof != "" {
		more = append(more, "--pprof", *azurePprof)
	}
	f.server = startServer(t, more...)
	f.writes = watchEtcd(t, etcd)
	f.declareAll()
	f.writes.until(t, "all machines to be instances", func(all []etcdWrite) bool {
		made := map[string]bool{}
		for _, one := range all {
			if strings.HasPrefix(one.key, instancesKey) {
				made[one.key] = true
			}
		}
		return len(made) == *azureMachines
	})
	f.subscribe()
	return f
}

// declareAll declares the services that have machines, and one that calls the first.
func (f *fleet) declareAll() {
	f.t.Helper()
	var group errgroup.Group
	group.SetLimit(8)
	for i := range f.services {
		group.Go(func() error {
			one := service(fleetService(i), mesh.HTTP)
			one.Endpoints.VMs = &mesh.VMEndpoints{Sources: []string{"azure"}}
			_, err := f.client.PutService(f.t.Context(), one)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		f.t.Fatal(err)
	}
	f.declare(service("caller", mesh.HTTP, mesh.ServiceName(fleetService(0))))
}

func (f *fleet) figure(value float64, unit, format string, args ...any) {
	one := figure{f.services, fmt.Sprintf(format, args...), value, unit}
	*f.figures = append(*f.figures, one)
	f.t.Logf("%-75s %10.2f %s", one.Name, one.Value, one.Unit)
}

// refreshed waits for the end of a refresh that begins from now on, as the server notes it.
func (f *fleet) refreshed() mesh.DiscoverySource {
	f.t.Helper()
	var note mesh.DiscoverySource
	now := time.Now()
	f.writes.until(f.t, "a refresh", func(all []etcdWrite) bool {
		for _, one := range all {
			if one.key == sourceKey {
				note = f.noted(one)
			}
		}
		return note.LastRun.After(now)
	})
	if note.VMs < *azureMachines || note.Error != "" {
		f.t.Fatalf("a refresh found %+v", note)
	}
	return note
}

// Keys of the registry: how the source does, its machines, and instances.
const (
	sourceKey    = "/heddle/v1/discovery/azure"
	machinesKey  = "/heddle/v1/vms/azure/"
	instancesKey = "/heddle/v1/instances/"
)

func (f *fleet) noted(write etcdWrite) (note mesh.DiscoverySource) {
	f.t.Helper()
	if err := json.Unmarshal(write.value, &note); err != nil {
		f.t.Fatal(err)
	}
	return note
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// quantile is a value of many, 0.5 the one in the middle.
func quantile(all []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
