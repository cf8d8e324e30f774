package test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// registered waits until the registry has these instances of a service, by the fleet that
// runs them, or "" for the mesh's own.
func (s *server) registered(name mesh.ServiceName, want map[string]int) {
	s.t.Helper()
	heddletest.Eventually(s.t, fmt.Sprintf("the registry to have %v of %s", want, name), func() error {
		list, err := s.client.Instances(s.t.Context(), name)
		if err != nil {
			return err
		}
		have := map[string]int{}
		for _, one := range list {
			have[one.Labels["heddle.fleet"]]++
		}
		if fmt.Sprint(have) != fmt.Sprint(want) {
			return fmt.Errorf("it has %+v", list)
		}
		return nil
	})
}

// A fleet and a mesh with a server are one: a sidecar of the mesh calls what a host runs,
// a host calls what the mesh runs, by two bridges of which one dies; the server goes away
// and comes back, and nothing goes round in circles.
func TestAFleetJoinsAMesh(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.declare(service("orders", mesh.HTTP), service("pay", mesh.HTTP), service("web", mesh.HTTP, "orders"))
	s.register("pay", "pay-1", app(t, says("pay of the mesh")))
	token := filepath.Join(t.TempDir(), "token")
	keys := filepath.Join(t.TempDir(), "keys")
	for file, text := range map[string]string{token: s.token, keys: gossipKey()} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bridge := []string{"--bridge", "--server", s.rest, "--token-file", token}
	port := heddletest.FreePort(t)
	one := startHostWith(t, 41, keys, port, bridge)
	two := startHostWith(t, 42, keys, port, bridge, one)
	three := startHost(t, 43, keys, port, one, two)
	web := startSidecar(t, s, "web", "web-1", "", "")

	orders, undeclared := heddletest.FreePort(t), heddletest.FreePort(t)
	first := hostService{Name: "orders", Port: two.whoami("orders of two"), ServicePort: orders}
	two.runs(first, hostService{Name: "undeclared", Port: two.whoami("undeclared"), ServicePort: undeclared})
	three.runs(hostService{Name: "orders", Port: three.whoami("orders of three"), ServicePort: orders})
	s.registered("orders", map[string]int{"default": 2})
	reaches := func(want ...string) {
		t.Helper()
		heddletest.Eventually(t, fmt.Sprintf("the mesh's sidecar to reach %v", want), func() error {
			seen := map[string]bool{}
			for range 20 {
				got, err := web.call(t, "orders", "/")
				if err != nil {
					return err
				}
				if got.status != http.StatusOK {
					return fmt.Errorf("%d: %s", got.status, got.body)
				}
				seen[got.body] = true
			}
			for _, name := range want {
				if !seen[name] || len(seen) != len(want) {
					return fmt.Errorf("%v answered", seen)
				}
			}
			return nil
		})
	}
	reaches("orders of two", "orders of three")
	_, byName, _ := strings.Cut(three.ready.Outbound, ":")
	outbound := mesh.Port(0)
	if _, err := fmt.Sscan(byName, &outbound); err != nil {
		t.Fatal(err)
	}
	three.reaches(outbound, "pay", "pay of the mesh")
	s.registered("pay", map[string]int{"": 1})
	s.registered("undeclared", map[string]int{})

	one.Kill() // a bridge dies
	s.register("pay", "pay-2", app(t, says("another pay")))
	three.reaches(outbound, "pay", "pay of the mesh", "another pay")
	two.runs()
	s.registered("orders", map[string]int{"default": 1})
	reaches("orders of three")
	two.runs(first)
	s.registered("orders", map[string]int{"default": 2})

	s.Kill() // the server is away: the hosts go on
	three.reaches(outbound, "pay", "pay of the mesh", "another pay")
	two.runs()
	three.reaches(orders, "", "orders of three")
	s.restart()
	s.registered("orders", map[string]int{"default": 1})
	reaches("orders of three")
	three.reaches(outbound, "pay", "pay of the mesh", "another pay")
}
