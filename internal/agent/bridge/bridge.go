package bridge

import (
	"context"
	"log/slog"
	"sync/atomic"
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
	Stream(ctx context.Context, since int64, handle func(client.Event) error) error
}

// Fleet is the hosts' side, as the agent of this host knows it.
type Fleet interface {
	Catalog() *catalog.Catalog
	State() *hosts.State
	Known() <-chan struct{} // closed once others' bridges are known, or nobody answers
}

// Config says what is joined.
type Config struct {
	Mesh  Mesh
	Fleet string // its name, which instances that are registered bear as a label
	Host  string // this host's name
	// Imports and Exports choose services, at most [hosts.MostChosen] each; none: all.
	Imports, Exports []mesh.ServiceName
	TTL              time.Duration // of what is registered; default 30 s
	Logger           *slog.Logger
}

// Labels of the instances that a bridge registers.
const (
	FleetLabel  = "heddle.fleet"  // the fleet that runs it
	SourceLabel = "heddle.source" // what found it there: docker, file, systemd
	BridgeLabel = "heddle.bridge" // the host that registers it
)

// Bridge joins one fleet to one mesh. Make it with [New]; the agent runs it, and Export
// runs beside the agent.
type Bridge struct {
	cfg    Config
	mirror *mirror
	writes *writes
	told   atomic.Pointer[hosts.Bridge] // what the other hosts were told of it last
	absent atomic.Pointer[string]       // what of its share the mesh has not; nil: it has all, as far as is known
}

// New makes a bridge, and starts nothing.
func New(cfg Config) *Bridge {
	if cfg.TTL == 0 {
		cfg.TTL = 30 * time.Second
	}
	b := &Bridge{cfg: cfg, mirror: newMirror(), writes: &writes{Mesh: cfg.Mesh, denied: map[mesh.ServiceName]denial{}}}
	begin := b.Begin()
	b.told.Store(&begin)
	return b
}

// Begin gives what this host says of itself as a bridge until it has found the mesh.
func (b *Bridge) Begin() hosts.Bridge {
	return hosts.Bridge{Imports: b.cfg.Imports, Exports: b.cfg.Exports}
}
