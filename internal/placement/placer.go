package placement

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Keeper writes the instances that a source has of a service.
type Keeper interface {
	// Keep writes the full set.
	Keep(ctx context.Context, service mesh.ServiceName, source string, list []mesh.Instance) (Written, error)
	// Change writes what differs from the set of change.Base, and is refused if it was
	// written since.
	Change(ctx context.Context, service mesh.ServiceName, source string, change mesh.KeptChange) (Written, error)
}

// Written is what a write came to.
type Written struct {
	Revision int64 // that has the set
	Base     int64 // what a change starts from; 0: the next one has to be the full set
}

// Config has settings whose zero values work, but for Catalog and Keeper.
type Config struct {
	Catalog *catalog.Catalog
	Keeper  Keeper
	Retry   time.Duration // after a set could not be written; default 2 s, and longer each time
	Logger  *slog.Logger  // default: discard
}

// Placer keeps the instances what [Place] says, and looks at those services alone that a
// change concerns. Make it with [New].
type Placer struct {
	cfg Config

	// Of Run's goroutine:
	machines *machines
	wanting  map[mesh.ServiceName]*mesh.Service // that want machines
	kept     map[mesh.ServiceName]map[string]map[mesh.InstanceID]*mesh.Instance
	sets     map[Set]*state
	due      map[mesh.ServiceName]bool // to be looked at
	seen     int64                     // the revision of the latest view
}

// New makes a placer that does nothing until Run.
func New(cfg Config) *Placer {
	cfg.Retry = cmp.Or(cfg.Retry, 2*time.Second)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Placer{cfg: cfg}
}

// Run keeps what differs until ctx ends.
func (p *Placer) Run(ctx context.Context) {
	feed := p.cfg.Catalog.Subscribe()
	defer feed.Close()
	p.machines, p.sets = nil, map[Set]*state{}
	retry, failed := p.cfg.Retry, false
	for {
		waiting, cancel := ctx, context.CancelFunc(func() {})
		if failed {
			waiting, cancel = context.WithTimeout(ctx, retry)
		}
		view, changes, err := feed.Wait(waiting)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil: // it is time to try again
			view = p.cfg.Catalog.View()
		}
		if !view.Synced() {
			continue
		}
		if view.Revision() < p.seen { // the registry was restored
			p.sets = map[Set]*state{}
		}
		p.seen = view.Revision()
		p.note(view, changes)
		if len(p.due) > 0 {
			before := failed
			failed = !p.write(ctx, view)
			if retry = min(2*retry, 30*p.cfg.Retry); !failed || !before {
				retry = p.cfg.Retry
			}
		}
	}
}

// note takes in what changed, and which services it concerns.
func (p *Placer) note(view *catalog.View, changes catalog.Changes) {
	if p.machines == nil {
		p.whole(view)
		return
	}
	for name := range changes.Services {
		_, before := p.wanting[name]
		delete(p.wanting, name)
		s, declared := view.Service(name)
		if declared && s.Endpoints.VMs != nil {
			p.wanting[name] = s
		}
		if before || p.wanting[name] != nil {
			p.due[name] = true
		}
	}
	for key := range changes.VMs {
		now, _ := view.VM(key)
		before := p.machines.put(key, now)
		for _, vm := range []*mesh.VM{before, now} {
			if vm != nil {
				p.concerns(vm)
			}
		}
	}
	for name := range changes.Instances {
		had := p.kept[name] != nil
		delete(p.kept, name)
		for _, one := range view.Instances(name) {
			p.index(one)
		}
		if had || p.kept[name] != nil || p.wanting[name] != nil {
			p.due[name] = true
		}
	}
}

// whole takes in everything.
func (p *Placer) whole(view *catalog.View) {
	p.machines, p.wanting, p.due = newMachines(view), map[mesh.ServiceName]*mesh.Service{}, map[mesh.ServiceName]bool{}
	p.kept = map[mesh.ServiceName]map[string]map[mesh.InstanceID]*mesh.Instance{}
	for s := range wanting(view) {
		p.wanting[s.Name], p.due[s.Name] = s, true
	}
	for one := range view.AllInstances() {
		if p.index(one) {
			p.due[one.Service] = true
		}
	}
}

// concerns has those services looked at that a machine may be an instance of.
func (p *Placer) concerns(vm *mesh.VM) {
	for _, one := range vm.Runs {
		if p.wanting[one.Name] != nil {
			p.due[one.Name] = true
		}
	}
	for name, s := range p.wanting {
		if len(s.Endpoints.VMs.Tags) > 0 && mayMean(s, vm) {
			p.due[name] = true
		}
	}
}

// index notes an instance that is a machine, and says whether it is one.
func (p *Placer) index(one *mesh.Instance) bool {
	source := one.Meta.Keeper.VMSource()
	if source == "" || one.Health == mesh.Removed {
		return false
	}
	of := p.kept[one.Service]
	if of == nil {
		of = map[string]map[mesh.InstanceID]*mesh.Instance{}
		p.kept[one.Service] = of
	}
	if of[source] == nil {
		of[source] = map[mesh.InstanceID]*mesh.Instance{}
	}
	of[source][one.ID] = one
	return true
}
