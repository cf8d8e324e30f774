package agentcli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// listenerFlags make a host one that others' clients call.
type listenerFlags struct {
	Listener bool     `help:"Run nothing and expose services to the outside: the proxy serves those that --expose names, on all addresses unless --proxy-address says otherwise."`
	Expose   []string `placeholder:"NAME[=PORT]" help:"A service that --listener exposes, at its ServicePort or at this port. May be repeated."`
}

// exposedServices reads what is exposed to the outside; nil: this host serves itself, with all.
func (c *listenerFlags) exposedServices(runs bool) (map[mesh.ServiceName]mesh.Port, error) {
	switch {
	case !c.Listener && len(c.Expose) == 0:
		return nil, nil
	case !c.Listener:
		return nil, &cli.UsageError{Message: "--expose needs --listener"}
	case len(c.Expose) == 0:
		return nil, &cli.UsageError{Message: "--listener exposes nothing: name services by --expose"}
	case runs:
		return nil, &cli.UsageError{Message: "a host that listens to the outside runs no services: --listener excludes --services, --docker and --systemd"}
	}
	exposed, taken := map[mesh.ServiceName]mesh.Port{}, map[mesh.Port]string{}
	for _, one := range c.Expose {
		text, number, given := strings.Cut(one, "=")
		name := hosts.MeshName(text)
		if name == "" {
			return nil, &cli.UsageError{Message: fmt.Sprintf("--expose %q: the name of a service is missing", one)}
		}
		if _, twice := exposed[name]; twice {
			return nil, &cli.UsageError{Message: fmt.Sprintf("--expose %q: %s is exposed twice", one, name)}
		}
		exposed[name] = 0
		if !given {
			continue
		}
		port, err := strconv.ParseUint(number, 10, 16)
		if err != nil || port == 0 {
			return nil, &cli.UsageError{Message: fmt.Sprintf("--expose %q: %q is no port: use 1 to 65535", one, number)}
		}
		if other := taken[mesh.Port(port)]; other != "" {
			return nil, &cli.UsageError{Message: fmt.Sprintf("--expose %q: port %d is %s's", one, port, other)}
		}
		exposed[name], taken[mesh.Port(port)] = mesh.Port(port), text
	}
	return exposed, nil
}

// exposable refuses what is to be exposed where something else of this host listens.
func (c *listenerFlags) exposable(exposed map[mesh.ServiceName]mesh.Port, reserved map[mesh.Port]string) error {
	for _, name := range slices.Sorted(maps.Keys(exposed)) {
		if what := reserved[exposed[name]]; what != "" {
			return &cli.UsageError{Message: fmt.Sprintf("--expose %s=%d: port %d of this host is that of %s: expose the service at another port, or have that listen elsewhere", name, exposed[name], exposed[name], what)}
		}
	}
	return nil
}
