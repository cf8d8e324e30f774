package proxy_test

import (
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

func TestOnePortForTwoListenersIsRefused(t *testing.T) {
	type ports = map[mesh.ServiceName]mesh.Port
	for name, c := range map[string]struct {
		proxy mesh.Proxy
		admin mesh.Port
		both  string // of the flags and the port; "": fine
	}{
		"none":                   {mesh.Proxy{AppPort: 8080, InboundPort: 8081, DependencyPorts: ports{"b": 1, "c": 2}}, 0, ""},
		"inbound and outbound":   {mesh.Proxy{AppPort: 8080, InboundPort: 9000, OutboundPort: 9000}, 0, "--inbound-port 9000 and --outbound-port 9000"},
		"the default outbound":   {mesh.Proxy{AppPort: 8080, InboundPort: 15001}, 0, "--inbound-port 15001 and --outbound-port 15001"},
		"two dependencies":       {mesh.Proxy{DependencyPorts: ports{"b": 1, "c": 1}}, 0, "--dependency-port c 1 and --dependency-port b 1"},
		"dependency, outbound":   {mesh.Proxy{DependencyPorts: ports{"b": 15001}}, 0, "--dependency-port b 15001 and --outbound-port 15001"},
		"application, inbound":   {mesh.Proxy{AppPort: 8080, InboundPort: 8080}, 0, "--inbound-port 8080 and --app-port 8080"},
		"admin and application":  {mesh.Proxy{AppPort: 8080}, 8080, "--admin-port 8080 and --app-port 8080"},
		"other addresses":        {mesh.Proxy{AppPort: 8080, InboundAddress: "10.0.0.1", InboundPort: 8080}, 0, ""},
		"IPv6's any":             {mesh.Proxy{AppPort: 8080, InboundAddress: "::", InboundPort: 8080}, 0, "--inbound-port 8080 and --app-port 8080"},
		"takes no calls":         {mesh.Proxy{InboundPort: 15001}, 0, ""},
		"a gRPC library's":       {mesh.Proxy{Profile: mesh.Proxyless, DependencyPorts: ports{"b": 1, "c": 1}}, 0, ""},
		"any free port of admin": {mesh.Proxy{}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.proxy.Service, c.proxy.Instance = "orders", "a"
			got := proxy.BootstrapConfig{Proxy: c.proxy, AdminPort: c.admin}.Validate().String()
			if c.both == "" && strings.Contains(got, "same port") || c.both != "" && !strings.Contains(got, c.both+" are the same port") {
				t.Errorf("got %q, want %q", got, c.both)
			}
		})
	}
}
