package agentcli

import (
	"fmt"
	"slices"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/agent"
	"github.com/heddle-mesh/heddle/internal/agent/bridge"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// bridgeFlags join the fleet to a mesh that has a server.
type bridgeFlags struct {
	Bridge       bool     `help:"Join the fleet to the mesh of --server: what hosts run is registered as instances of the services that are declared there, and what the mesh runs is known to all hosts. On one host of the fleet or, so that one may fail, on several."`
	BridgeImport []string `placeholder:"NAME" help:"A service of the mesh that the fleet gets to know. May be repeated; default: all."`
	BridgeExport []string `placeholder:"NAME" help:"A service of the fleet that the mesh gets to know, if it is declared there. May be repeated; default: all."`
}

// joinMesh makes the bridge, or nil, and adds it to what the agent is made of.
func (f *bridgeFlags) joinMesh(line *cli.Globals, cfg *agent.Config) (*bridge.Bridge, error) {
	if !f.Bridge {
		if len(f.BridgeImport)+len(f.BridgeExport) > 0 {
			return nil, &cli.UsageError{Message: "--bridge-import and --bridge-export need --bridge"}
		}
		return nil, nil
	}
	imports, err := chosenServices("--bridge-import", f.BridgeImport)
	if err != nil {
		return nil, err
	}
	exports, err := chosenServices("--bridge-export", f.BridgeExport)
	if err != nil {
		return nil, err
	}
	if _, err := line.ReadToken(); err != nil {
		return nil, err
	}
	server, err := line.ConnectWith(client.Config{Tokens: line.ReadToken}) // which may be replaced
	if err != nil {
		return nil, err
	}
	b := bridge.New(bridge.Config{Mesh: server, Fleet: cfg.Gossip.Fleet, Host: cfg.Gossip.Name, Imports: imports, Exports: exports, Logger: cfg.Logger})
	cfg.Bridge = b
	return b, nil
}

// chosenServices reads names; none: all.
func chosenServices(flag string, names []string) ([]mesh.ServiceName, error) {
	var chosen []mesh.ServiceName
	for _, text := range names {
		name := hosts.MeshName(text)
		if name == "" {
			return nil, &cli.UsageError{Message: fmt.Sprintf("%s %q: the name of a service is missing", flag, text)}
		}
		chosen = append(chosen, name)
	}
	slices.Sort(chosen)
	if chosen = slices.Compact(chosen); len(chosen) > hosts.MostChosen {
		return nil, &cli.UsageError{Message: fmt.Sprintf("%s names %d services; at most %d may be chosen: leave it out for all", flag, len(chosen), hosts.MostChosen)}
	}
	return chosen, nil
}
