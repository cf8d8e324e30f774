package discovery

import (
	"slices"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestTagsSayWhatAMachineRuns(t *testing.T) {
	for name, c := range map[string]struct {
		names  Tags
		tags   map[string]string
		runs   []mesh.VMService
		weight int
		zone   string
		faults []string // how they begin
	}{
		"none":                       {},
		"one":                        {tags: map[string]string{"heddle-service": "orders"}, runs: []mesh.VMService{{Name: "orders"}}},
		"with its port":              {tags: map[string]string{"heddle-service": "orders:8080"}, runs: []mesh.VMService{{Name: "orders", Port: 8080}}},
		"with a port's tag":          {tags: map[string]string{"heddle-service": "orders, billing:9090,", "heddle-port": "8080"}, runs: []mesh.VMService{{Name: "orders", Port: 8080}, {Name: "billing", Port: 9090}}},
		"whichever case":             {tags: map[string]string{"Heddle-Service": "orders", "HEDDLE-WEIGHT": "5", "heddle-Zone": "2"}, runs: []mesh.VMService{{Name: "orders"}}, weight: 5, zone: "2"},
		"names of one's own":         {names: Tags{Service: "app", Port: "app port"}, tags: map[string]string{"app": "orders", "app port": "81", "heddle-service": "other"}, runs: []mesh.VMService{{Name: "orders", Port: 81}}},
		"no service":                 {tags: map[string]string{"heddle-service": "Orders & Co"}, faults: []string{`tag heddle-service: "Orders & Co" is no name of a service`}},
		"one wrong among right ones": {tags: map[string]string{"heddle-service": "orders,ö,billing:x,orders,pay:0"}, runs: []mesh.VMService{{Name: "orders"}}, faults: []string{`tag heddle-service: "ö"`, `tag heddle-service: "billing:x" does not end with a port`, "tag heddle-service names orders twice", `tag heddle-service: "pay:0"`}},
		"a weight that is none":      {tags: map[string]string{"heddle-service": "orders", "heddle-weight": "1e3", "heddle-port": "80"}, runs: []mesh.VMService{{Name: "orders", Port: 80}}, faults: []string{`tag heddle-weight: "1e3" is not a number from 1 to 1000`}},
		"a port that is none":        {tags: map[string]string{"heddle-service": "orders,billing:9090", "heddle-port": "abc"}, runs: []mesh.VMService{{Name: "billing", Port: 9090}}, faults: []string{`tag heddle-port: "abc" is not a number from 1 to 65535`, `tag heddle-service: orders is left out, as tag heddle-port is wrong`}},
		"a port that is too high":    {tags: map[string]string{"heddle-service": "orders", "heddle-port": "70000"}, faults: []string{`tag heddle-port: "70000" is not a number from 1 to 65535`, `tag heddle-service: orders is left out`}},
		"no more than a port":        {tags: map[string]string{"heddle-service": ":80"}, faults: []string{`tag heddle-service: ":80" is no name of a service`}},
	} {
		t.Run(name, func(t *testing.T) {
			v := mesh.VM{Tags: c.tags}
			c.names.Read(&v)
			if !slices.Equal(v.Runs, c.runs) || v.Weight != c.weight || v.Zone != c.zone {
				t.Errorf("runs %v, weight %d, zone %q; want %v, %d, %q", v.Runs, v.Weight, v.Zone, c.runs, c.weight, c.zone)
			}
			if len(v.Faults) != len(c.faults) {
				t.Fatalf("faults %q, want %q", v.Faults, c.faults)
			}
			for i := range c.faults {
				if !strings.HasPrefix(v.Faults[i], c.faults[i]) {
					t.Errorf("fault %q, want %q", v.Faults[i], c.faults[i])
				}
			}
		})
	}
}

// FuzzWhateverASourceSaysCanBeWritten: one machine that is wrong must not keep the others
// from the registry.
func FuzzWhateverASourceSaysCanBeWritten(f *testing.F) {
	f.Add("/subscriptions/x/vm 1", "web\x00", "10.0.0.300", "orders,orders:99999,\xff", "heddle-service", "frozen")
	f.Add(strings.Repeat("x", 2000), strings.Repeat("ä", 2000), "", strings.Repeat("a,", 500), strings.Repeat("k", 600), "")
	f.Fuzz(func(t *testing.T, id, name, address, value, key, state string) {
		if id == "" {
			return // it is left out
		}
		v := mesh.VM{Source: "az", ID: id, Name: name, PrivateIP: address, PublicIP: address, Zone: value, Scope: name, State: mesh.VMState(state), Tags: map[string]string{"heddle-service": value, key: value}}
		Tags{}.Read(&v)
		tidy(&v)
		if faults := v.Validate(); len(faults) > 0 {
			t.Errorf("%+v: %s", v, faults)
		}
	})
}
