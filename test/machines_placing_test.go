package test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// placingEtcd is an etcd, and a client that may do everything there.
func placingEtcd(t *testing.T) (endpoint string, root *clientv3.Client) {
	t.Helper()
	etcd, err := registry.StartEmbedded(t.Context(), registry.EmbeddedConfig{NoSync: true, DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Close)
	root, err = clientv3.New(clientv3.Config{Endpoints: []string{etcd.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return etcd.Endpoint(), root
}

// awaitStanding waits until that many servers stand for placing machines.
func awaitStanding(t *testing.T, root *clientv3.Client, want int64) {
	t.Helper()
	heddletest.Eventually(t, fmt.Sprintf("%d servers to stand for placing", want), func() error {
		answer, err := root.Get(t.Context(), "/heddle/v1/offices/"+registry.PlacingOffice+"/", clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err == nil && answer.Count != want {
			err = fmt.Errorf("%d do", answer.Count)
		}
		return err
	})
}

func onMachines(name mesh.ServiceName, sources ...string) mesh.Service {
	s := service(string(name), mesh.HTTP)
	if len(sources) > 0 {
		s.Endpoints.VMs = &mesh.VMEndpoints{Sources: sources}
	}
	return s
}

// awaitAddresses waits until a service has instances at these addresses alone.
func awaitAddresses(t *testing.T, api *client.Client, service mesh.ServiceName, want ...string) {
	t.Helper()
	heddletest.Eventually(t, fmt.Sprintf("%s at %v", service, want), func() error {
		list, err := api.Instances(t.Context(), service)
		if err != nil {
			return err
		}
		var got []string
		for _, one := range list {
			if one.Health != mesh.Removed {
				got = append(got, one.Address)
			}
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			return fmt.Errorf("it is at %v", got)
		}
		return nil
	})
}

// TestServersWithoutSourcesPlaceMachines that are known: when the server is gone that finds
// them, or has its flag no more, a service that wants other machines, or none, has what it
// wants all the same; and what is known stays known. A mesh without machines has nobody
// stand for that.
func TestServersWithoutSourcesPlaceMachines(t *testing.T) {
	t.Parallel()
	endpoint, root := placingEtcd(t)
	plain := startServer(t, "--etcd-endpoints", endpoint)
	token := plain.token
	plain.declare(onMachines("orders"), onMachines("bills"))
	awaitStanding(t, root, 0)
	finder := startFinder(t, endpoint, 0, 1)
	plain.declare(onMachines("orders", "dc"))
	awaitAddresses(t, plain.client, "orders", machineAddress(0), machineAddress(1))
	awaitStanding(t, root, 2)
	finder.Kill()
	// The killed one may lead for as long as its lease lives.
	plain.declare(onMachines("orders"))
	awaitAddresses(t, plain.client, "orders")
	plain.declare(onMachines("orders", "dc"))
	awaitAddresses(t, plain.client, "orders", machineAddress(0), machineAddress(1))

	more := startServer(t, "--etcd-endpoints", endpoint)
	more.token, more.client = token, more.newClient(token)
	plain.Kill()
	more.declare(onMachines("orders", "elsewhere"))
	awaitAddresses(t, more.client, "orders")
	more.declare(onMachines("orders"))
	awaitStanding(t, root, 0)
}

// TestEtcdRefusesTheMachinesOfAService: all others are placed all the same, every server
// says what is wrong with which service, and once etcd takes them they are written.
func TestEtcdRefusesTheMachinesOfAService(t *testing.T) {
	t.Parallel()
	endpoint, root := placingEtcd(t)
	ctx := t.Context()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const refused = "/heddle/v1/instances/bills/"
	end := clientv3.GetPrefixRangeEnd("/heddle/v1/")
	must(root.UserAdd(ctx, "root", "r00t"))
	must(root.UserGrantRole(ctx, "root", "root"))
	must(root.RoleAdd(ctx, "mesh"))
	must(root.RoleGrantPermission(ctx, "mesh", "/heddle/v1/", end, clientv3.PermissionType(clientv3.PermRead)))
	must(root.RoleGrantPermission(ctx, "mesh", "/heddle/v1/", refused, clientv3.PermissionType(clientv3.PermReadWrite)))
	must(root.RoleGrantPermission(ctx, "mesh", clientv3.GetPrefixRangeEnd(refused), end, clientv3.PermissionType(clientv3.PermReadWrite)))
	must(root.UserAdd(ctx, "heddle", "secret"))
	must(root.UserGrantRole(ctx, "heddle", "mesh"))
	must(root.AuthEnable(ctx))
	admin, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Username: "root", Password: "r00t"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close() })

	file := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	machine := func(i int, service string) string {
		return fmt.Sprintf(`{"name":%q,"private_ip":%q,"tags":{"heddle-service":"%s:8080"}}`, machineName(i), machineAddress(i), service)
	}
	inventory := file("inventory.json", `{"vms":[`+machine(0, "orders")+","+machine(1, "bills")+`]}`)
	settings := file("discovery.yaml", "sources: [{name: dc, interval: 1s, longest: 1s, inventory: {file: "+inventory+"}}]\n")
	reaches := []string{"--etcd-endpoints", endpoint, "--etcd-user", "heddle", "--etcd-password-file", file("password", "secret")}
	one := startServer(t, append(reaches, "--discovery", settings)...)
	other := startServer(t, reaches...)
	one.declare(onMachines("bills", "dc"), onMachines("orders", "dc"))
	awaitAddresses(t, one.client, "orders", machineAddress(0))

	tells := func(s *server, want bool) {
		t.Helper()
		heddletest.Eventually(t, fmt.Sprintf("a server to tell of what is refused: %t", want), func() error {
			problems, err := s.client.Problems(ctx)
			if err != nil {
				return err
			}
			for _, problem := range problems {
				if problem.Object == "service/bills" && strings.Contains(problem.Message, "cannot be written as its instances") {
					if want && !strings.Contains(problem.Message, "permission denied") {
						return fmt.Errorf("it does not say why: %s", problem.Message)
					}
					if !want {
						return fmt.Errorf("it still does: %s", problem.Message)
					}
					return nil
				}
			}
			if want {
				return fmt.Errorf("it tells of %v", problems)
			}
			return nil
		})
	}
	tells(one, true)
	tells(other, true)
	if err := os.WriteFile(inventory, []byte(`{"vms":[`+machine(1, "bills")+","+machine(2, "orders")+`]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	awaitAddresses(t, one.client, "orders", machineAddress(2))
	awaitAddresses(t, one.client, "bills")

	must(admin.RoleGrantPermission(ctx, "mesh", "/heddle/v1/", end, clientv3.PermissionType(clientv3.PermReadWrite)))
	awaitAddresses(t, one.client, "bills", machineAddress(1))
	tells(one, false)
	tells(other, false)
}
