package haproxy

import (
	"context"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

var update = flag.Bool("update", false, "write the golden files anew")

// world is a catalog of a host that calls services.
func world(services []mesh.Service, instances ...mesh.Instance) *catalog.View {
	c := catalog.New(catalog.Config{})
	c.Apply(1, true, changes(services, instances...))
	return c.View()
}

const host mesh.ServiceName = "heddle-host"

func changes(services []mesh.Service, instances ...mesh.Instance) []mesh.Change {
	own := &mesh.Service{Name: host, Protocol: mesh.HTTP, Port: 1}
	var list []mesh.Change
	for _, s := range services {
		own.Dependencies = append(own.Dependencies, s.Name)
		list = append(list, mesh.Change{Service: &s})
	}
	for _, i := range instances {
		list = append(list, mesh.Change{Instance: &i})
	}
	return append(list, mesh.Change{Service: own})
}

func copyAt(service mesh.ServiceName, id mesh.InstanceID, address string, port mesh.Port) mesh.Instance {
	return mesh.Instance{Service: service, ID: id, Address: address, Port: port}
}

func (s settings) with(address string) settings {
	s.Address = netip.MustParseAddr(address)
	return s
}

var standard = settings{Address: netip.MustParseAddr("127.0.0.1"), Outbound: 15001, Threads: 2, Unacknowledged: 3 * time.Second, Generation: 1}

// Each configuration is what it was, and HAProxy takes it.
func TestGolden(t *testing.T) {
	for name, c := range map[string]struct {
		settings settings
		view     *catalog.View
	}{
		"empty": {standard, world(nil)},
		"every-protocol": {standard, world([]mesh.Service{
			{Name: "web", Protocol: mesh.HTTP, Port: 80, ListenerPort: 8080},
			{Name: "calls", Protocol: mesh.GRPC, Port: 81, ListenerPort: 8081},
			{Name: "two", Protocol: mesh.HTTP2, Port: 82, ListenerPort: 8082},
			{Name: "db", Protocol: mesh.TCP, Port: 5432, ListenerPort: 5432},
			{Name: "by-name-alone", Protocol: mesh.HTTP, Port: 83},
		}, copyAt("web", "a", "10.0.0.1", 31000), copyAt("calls", "a", "10.0.0.1", 31001), copyAt("two", "a", "10.0.0.1", 31002), copyAt("db", "a", "10.0.0.1", 31003))},
		"healths-and-weights": {standard, world([]mesh.Service{{Name: "web", Protocol: mesh.HTTP, Port: 80, ListenerPort: 8080}},
			mesh.Instance{Service: "web", ID: "drains", Address: "10.0.0.1", Port: 1, Health: mesh.Draining},
			mesh.Instance{Service: "web", ID: "heavy", Address: "10.0.0.2", Port: 2, Weight: 1000},
			mesh.Instance{Service: "web", ID: "same-address", Address: "10.0.0.2", Port: 2, Health: mesh.Unhealthy},
			mesh.Instance{Service: "web", ID: "sick", Address: "10.0.0.3", Port: 3, Health: mesh.Unhealthy},
			mesh.Instance{Service: "web", ID: "six", Address: "fd00::4", Port: 4, Weight: 2})},
		"settings-of-traffic": {standard.with("::"), world([]mesh.Service{
			{Name: "slow", Protocol: mesh.HTTP, Port: 80, Traffic: mesh.Traffic{
				Timeout: mesh.Duration(time.Minute), IdleTimeout: mesh.Duration(2 * time.Minute), ConnectTimeout: mesh.Duration(300 * time.Millisecond), Retries: &mesh.Retries{}, LoadBalancing: mesh.LoadBalancing{Policy: mesh.Maglev}}},
			{Name: "streams", Protocol: mesh.HTTP, Port: 81, Traffic: mesh.Traffic{NoTimeout: true, Retries: &mesh.Retries{Attempts: 5}, LoadBalancing: mesh.LoadBalancing{Policy: mesh.LeastRequest}}},
			{Name: "db", Protocol: mesh.TCP, Port: 5432, ListenerPort: 5432, Traffic: mesh.Traffic{IdleTimeout: mesh.Duration(time.Minute), LoadBalancing: mesh.LoadBalancing{Policy: mesh.Random}}},
		}, copyAt("slow", "a", "::1", 1))},
	} {
		t.Run(name, func(t *testing.T) {
			wanted, problems := planOf(c.view, host, c.settings.Outbound)
			if len(problems) > 0 {
				t.Error(problems)
			}
			_, next := fit(plan{}, wanted)
			got := render(c.settings, next)
			file := filepath.Join("testdata", name+".cfg")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s is not what is rendered (-update writes it):\n%s", file, diff)
			}
			taken(t, got)
		})
	}
}

// taken has the real HAProxy look at a configuration, and be silent.
func taken(t testing.TB, text []byte) {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, configFile), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := check(context.Background(), binary(t), folder, configFile); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}

// binary is the HAProxy of the tests.
func binary(t testing.TB) string {
	t.Helper()
	path, err := Find(os.Getenv("HEDDLE_HAPROXY"))
	if err != nil {
		t.Fatal(err)
	}
	return path
}
