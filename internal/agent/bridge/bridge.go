package bridge

import (
	"context"
	"log/slog"
	"time"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/lease"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Mesh is the server's side.
type Mesh interface {
	lease.Registrar
	Events(ctx context.Context, since int64, handle func(client.Event) error) error
}

// Fleet is the hosts' side, as the agent of this host knows it.
type Fleet interface {
	Catalog() *catalog.Catalog
	State() *hosts.State
}

// Config says what is joined.
type Config struct {
	Mesh  Mesh
	Fleet string // its name, which instances that are registered bear as a label
	Host  string // this host's name
	// Imports and Exports choose services; nil: all.
	Imports, Exports func(mesh.ServiceName) bool
	TTL              time.Duration // of what is registered; default 30 s
	Logger           *slog.Logger
}

// Labels of the instances that a bridge registers.
const (
	FleetLabel  = "heddle.fleet"  // the fleet that runs it
	SourceLabel = "heddle.source" // what found it there: docker, file, systemd
)

// Bridge joins one fleet to one mesh. Make it with [New]; it is a source of the agent,
// and Export runs beside the agent.
type Bridge struct {
	cfg    Config
	mirror *mirror
}

// New makes a bridge, and starts nothing.
func New(cfg Config) *Bridge {
	if cfg.TTL == 0 {
		cfg.TTL = 30 * time.Second
	}
	all := func(mesh.ServiceName) bool { return true }
	if cfg.Imports == nil {
		cfg.Imports = all
	}
	if cfg.Exports == nil {
		cfg.Exports = all
	}
	return &Bridge{cfg: cfg, mirror: newMirror()}
}
