package agentcli

import (
	"log/slog"

	"github.com/heddle-mesh/heddle/internal/agent"
	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
	"github.com/heddle-mesh/heddle/internal/proxy/haproxy"
)

// haproxyFlags are for a host that HAProxy serves.
type haproxyFlags struct {
	HAProxy string `name:"haproxy" env:"HEDDLE_HAPROXY" placeholder:"PATH" help:"The HAProxy to run with --proxy haproxy, 2.6 or later. Default: haproxy on PATH, else /usr/sbin/haproxy."`
}

// byHAProxy has HAProxy serve the host, at an address and a port for calls by name.
func (f *haproxyFlags) byHAProxy(address string, outbound mesh.Port, log *slog.Logger) (newProxy, error) {
	binary, err := haproxy.Find(f.HAProxy)
	if err != nil {
		return nil, err
	}
	return func(fleet *catalog.Catalog, report func(proxy.Status), wrong func([]proxy.Problem)) (agent.Proxy, error) {
		return haproxy.New(haproxy.Config{
			Catalog: fleet, Host: agent.HostProxy, Address: address, Port: outbound, HAProxy: binary, Report: report, Problems: wrong, Logger: log,
		})
	}, nil
}
