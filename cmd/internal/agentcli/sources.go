package agentcli

import (
	"log/slog"
	"net/netip"
	"path/filepath"

	"github.com/heddle-mesh/heddle/internal/agent"
	"github.com/heddle-mesh/heddle/internal/agent/files"
	"github.com/heddle-mesh/heddle/internal/agent/systemd"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// sourceFlags say where the agent finds what its host runs.
type sourceFlags struct {
	Services string `type:"path" placeholder:"FILE" help:"What this host runs, as JSON; read again when it changes."`
	Systemd  bool   `help:"Find services among the units of this host's systemd: each that runs and has a section [X-Heddle] in its files."`
	dockerFlags
}

// sources makes those that are asked for.
func (c *sourceFlags) sources(address netip.Addr, log *slog.Logger) ([]agent.Source, error) {
	var all []agent.Source
	if c.Services != "" {
		path, err := filepath.Abs(c.Services)
		if err != nil {
			return nil, err
		}
		file := &files.Source{Path: path, Address: address, Logger: log}
		if err := file.Check(); err != nil {
			return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: "--services", Err: err}
		}
		all = append(all, file)
	}
	containers, err := c.containers(address, log)
	if err != nil {
		return nil, err
	}
	if containers != nil {
		all = append(all, containers)
	}
	if c.Systemd {
		all = append(all, &systemd.Source{Address: address, Logger: log})
	}
	return all, nil
}
