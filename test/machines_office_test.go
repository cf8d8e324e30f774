package test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// finder is a server that finds machines, in an inventory of its own.
type finder struct {
	*server
	t         *testing.T
	inventory string
	file      string // its settings
}

// startFinder runs one on an etcd, "" for the server's own.
func startFinder(t *testing.T, etcd string, numbers ...int) *finder {
	t.Helper()
	dir := t.TempDir()
	f := &finder{t: t, inventory: filepath.Join(dir, "inventory.json"), file: filepath.Join(dir, "discovery.yaml")}
	f.has(numbers...)
	f.settings("dc")
	reaches := []string{"--discovery", f.file}
	if etcd != "" {
		reaches = append(reaches, "--etcd-endpoints", etcd)
	}
	f.server = startServer(t, reaches...)
	return f
}

// settings writes what its source, the inventory, is called.
func (f *finder) settings(source string) {
	f.t.Helper()
	text := "sources: [{name: " + source + ", interval: 1s, longest: 1s, inventory: {file: " + f.inventory + "}}]\n"
	if err := os.WriteFile(f.file, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// has writes the machines of its inventory.
func (f *finder) has(numbers ...int) {
	f.t.Helper()
	var list []string
	for _, one := range numbers {
		list = append(list, fmt.Sprintf(`{"name":%q,"private_ip":%q,"tags":{"heddle-service":"orders:8080"}}`, machineName(one), machineAddress(one)))
	}
	next := f.inventory + ".next"
	if err := os.WriteFile(next, []byte(`{"vms":[`+strings.Join(list, ",")+`]}`), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(next, f.inventory); err != nil {
		f.t.Fatal(err)
	}
}

// TestAnotherServerFindsMachines: of three servers one asks the sources. When it is killed,
// or stands still, another takes over within seconds and withdraws nothing; and what the
// one that stood still has found writes nothing once it goes on.
func TestAnotherServerFindsMachines(t *testing.T) {
	t.Parallel()
	etcd, err := registry.StartEmbedded(t.Context(), registry.EmbeddedConfig{NoSync: true, DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Close)
	store, err := etcd.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	var finders []*finder
	for range 3 {
		finders = append(finders, startFinder(t, etcd.Endpoint(), 0, 1))
	}
	orders := service("orders", mesh.HTTP)
	orders.Endpoints.VMs = &mesh.VMEndpoints{Sources: []string{"dc"}}
	finders[0].declare(orders)

	addresses := func() (out []string) {
		list, _, err := store.Instances(t.Context(), "orders")
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range list {
			if one.Health != mesh.Removed {
				out = append(out, one.Address)
			}
		}
		slices.Sort(out)
		return out
	}
	wanted := func(numbers ...int) (out []string) {
		for _, one := range numbers {
			out = append(out, machineAddress(one))
		}
		return out
	}
	awaits := func(what string, numbers ...int) {
		t.Helper()
		heddletest.Eventually(t, what, func() error {
			if got := addresses(); !slices.Equal(got, wanted(numbers...)) {
				return fmt.Errorf("instances are at %v", got)
			}
			return nil
		})
	}
	// leads waits for one of these to have asked the source since now; all the time nothing is withdrawn.
	leads := func(there []string, among ...*finder) (leader *finder) {
		t.Helper()
		began := time.Now()
		heddletest.Eventually(t, "a server to ask the source", func() error {
			if got := addresses(); len(there) > 0 && !slices.Equal(got, there) {
				t.Fatalf("instances are at %v, want %v all the time", got, there)
			}
			noted, err := store.Discovery(t.Context())
			if err != nil || len(noted) != 1 {
				return fmt.Errorf("%d sources, %w", len(noted), err)
			}
			for _, one := range among {
				if strings.HasSuffix(noted[0].Server, "/"+strings.TrimPrefix(one.rest, "http://")) && noted[0].LastRun.After(began) {
					leader = one
					return nil
				}
			}
			return fmt.Errorf("%s asked last, at %s", noted[0].Server, noted[0].LastRun)
		})
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("another server took over after %s", took)
		} else {
			t.Logf("%s asks the source, after %.1f s", leader.rest, took.Seconds())
		}
		return leader
	}
	awaits("machines of the first one that leads", 0, 1)
	leader := leads(wanted(0, 1), finders...)
	others := slices.DeleteFunc(slices.Clone(finders), func(one *finder) bool { return one == leader })
	leader.Kill()
	leader = leads(wanted(0, 1), others...)

	still := leader
	others = slices.DeleteFunc(others, func(one *finder) bool { return one == still })
	if err := still.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	leads(wanted(0, 1), others...)
	others[0].has(0, 2)
	awaits("what the one that leads now finds", 0, 2)
	still.has(3) // finds what nobody else does
	if err := still.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(6 * time.Second); time.Now().Before(end); {
		if got := addresses(); !slices.Equal(got, wanted(0, 2)) {
			t.Fatalf("the one that stood still wrote: instances are at %v", got)
		}
		<-time.After(20 * time.Millisecond)
	}
	if noted, err := store.Discovery(t.Context()); err != nil || !strings.HasSuffix(noted[0].Server, "/"+strings.TrimPrefix(others[0].rest, "http://")) {
		t.Errorf("noted is %+v, %v", noted, err)
	}
	if _, err := still.client.Services(t.Context()); err != nil {
		t.Errorf("the one that stood still serves no more: %v", err)
	}
}
