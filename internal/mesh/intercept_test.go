package mesh_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// TestVirtualAddressesStay: sidecars of different versions have to agree on them.
func TestVirtualAddressesStay(t *testing.T) {
	for name, want := range map[mesh.ServiceName]string{"orders": "241.28.22.139", "web": "241.75.94.88"} {
		if got := mesh.VirtualAddress(name).String(); got != want {
			t.Errorf("%s has %s, not %s", name, got, want)
		}
	}
}

func TestVirtualAddressesAreApart(t *testing.T) {
	seen, same := map[string]bool{}, 0
	for i := range 2000 {
		address := mesh.VirtualAddress(mesh.ServiceName(fmt.Sprintf("service-%d", i)))
		last := address.As4()[3]
		if !mesh.VirtualNetwork().Contains(address) || last == 0 || last == 255 {
			t.Fatalf("service-%d has %s", i, address)
		}
		if seen[address.String()] {
			same++
		}
		seen[address.String()] = true
	}
	if same > 2 { // two million pairs among sixteen million addresses
		t.Errorf("%d of 2000 names share an address", same)
	}
}

func TestInterceptIsValidated(t *testing.T) {
	for name, c := range map[string]struct {
		proxy mesh.Proxy
		want  string
	}{
		"the defaults":             {mesh.Proxy{Service: "web", Instance: "1", Intercept: &mesh.Intercept{}}, ""},
		"all of it":                {mesh.Proxy{Service: "web", Instance: "1", Intercept: &mesh.Intercept{Port: 1, Outside: "deny", IPv6: true}}, ""},
		"a wrong port":             {mesh.Proxy{Service: "web", Instance: "1", Intercept: &mesh.Intercept{Port: 70000}}, "intercept.port: 70000 is not a port"},
		"a wrong mode":             {mesh.Proxy{Service: "web", Instance: "1", Intercept: &mesh.Intercept{Mode: "nat"}}, `intercept.mode: "nat" is not one of`},
		"an application elsewhere": {mesh.Proxy{Service: "web", Instance: "1", AppPort: 80, AppAddress: "10.0.0.1", Intercept: &mesh.Intercept{Mode: mesh.TProxyMode}}, "appAddress: 10.0.0.1 is not on loopback"},
		"one address":              {mesh.Proxy{Service: "web", Instance: "1", AppPort: 80, InboundAddress: "10.0.0.1", Intercept: &mesh.Intercept{Mode: mesh.TProxyMode}}, "inboundAddress: is not for intercept.mode"},
		"a wrong policy":           {mesh.Proxy{Service: "web", Instance: "1", Intercept: &mesh.Intercept{Outside: "drop"}}, `intercept.outside: "drop" is not one of`},
		"a gateway":                {mesh.Proxy{Service: "edge", Instance: "1", Profile: mesh.GatewayProfile, Gateway: &mesh.GatewayProxy{HTTPPort: 80}, Intercept: &mesh.Intercept{}}, "intercept: is for a sidecar"},
		"a grpc library":           {mesh.Proxy{Service: "web", Instance: "1", Profile: mesh.Proxyless, Intercept: &mesh.Intercept{}}, "intercept: is for an Envoy"},
	} {
		t.Run(name, func(t *testing.T) {
			err := mesh.Invalid("check", c.proxy.Validate())
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
