package placement

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Keeper writes the full set of instances that a source has of a service, and gives the
// revision that has it.
type Keeper interface {
	Keep(ctx context.Context, service mesh.ServiceName, source string, list []mesh.Instance) (int64, error)
}

// Config has settings whose zero values work, but for Catalog and Keeper.
type Config struct {
	Catalog *catalog.Catalog
	Keeper  Keeper
	Retry   time.Duration // after a set could not be written; default 2 s, and longer each time
	Logger  *slog.Logger  // default: discard
}

// Placer keeps the instances what [Place] says. Make it with [New].
type Placer struct {
	cfg Config

	// Of Run's goroutine:
	wanting map[mesh.ServiceName]*mesh.Service // that want machines
	kept    map[Set]map[mesh.InstanceID]*mesh.Instance
	written map[Set]int64 // up to which revision the view has to be for a set to be looked at
	seen    int64         // the revision of the latest view
	told    map[Set]string
}

// New makes a placer that does nothing until Run.
func New(cfg Config) *Placer {
	cfg.Retry = cmp.Or(cfg.Retry, 2*time.Second)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Placer{cfg: cfg}
}

// mostWrites is how many sets are written at a time.
const mostWrites = 8

// Run keeps what differs until ctx ends.
func (p *Placer) Run(ctx context.Context) {
	feed := p.cfg.Catalog.Subscribe()
	defer feed.Close()
	p.wanting, p.kept, p.written, p.told = map[mesh.ServiceName]*mesh.Service{}, map[Set]map[mesh.InstanceID]*mesh.Instance{}, map[Set]int64{}, map[Set]string{}
	whole, failed := true, false
	retry := p.cfg.Retry
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
			clear(p.written)
		}
		p.seen = view.Revision()
		matters := p.note(view, changes, whole)
		if whole = false; matters || failed {
			before := failed
			failed = !p.write(ctx, view)
			if retry = min(2*retry, 30*p.cfg.Retry); !failed || !before {
				retry = p.cfg.Retry
			}
		}
	}
}

// note takes in what changed, and says whether it matters to machines.
func (p *Placer) note(view *catalog.View, changes catalog.Changes, whole bool) bool {
	if whole {
		for s := range wanting(view) {
			p.wanting[s.Name] = s
		}
		for one := range view.AllInstances() {
			p.index(one)
		}
		return true
	}
	matters := changes.VMs || changes.Synced
	for name := range changes.Services {
		_, before := p.wanting[name]
		s, declared := view.Service(name)
		if declared && s.Endpoints.VMs != nil {
			p.wanting[name], matters = s, true
		} else if before {
			delete(p.wanting, name)
			matters = true
		}
	}
	for name := range changes.Instances {
		_, wants := p.wanting[name]
		matters = matters || wants
		for set := range p.kept {
			if set.Service == name {
				delete(p.kept, set)
				matters = true
			}
		}
		for _, one := range view.Instances(name) {
			matters = p.index(one) || matters
		}
	}
	return matters
}

// index notes an instance that is a machine, and says whether it is one.
func (p *Placer) index(one *mesh.Instance) bool {
	source := one.Meta.Keeper.VMSource()
	if source == "" || one.Health == mesh.Removed {
		return false
	}
	set := Set{one.Service, source}
	if p.kept[set] == nil {
		p.kept[set] = map[mesh.InstanceID]*mesh.Instance{}
	}
	p.kept[set][one.ID] = one
	return true
}

// write has what differs written, and says whether all of it was.
func (p *Placer) write(ctx context.Context, view *catalog.View) bool {
	services := slices.SortedFunc(maps.Values(p.wanting), func(a, b *mesh.Service) int { return cmp.Compare(a.Name, b.Name) })
	wanted := place(view, services).Sets
	for set := range p.kept { // of services that want the source no more
		if _, is := wanted[set]; !is {
			wanted[set] = nil
		}
	}
	type result struct {
		set Set
		at  int64
		err error
	}
	results := make(chan result, len(wanted))
	group := errgroup.Group{}
	group.SetLimit(mostWrites)
	for set, list := range wanted {
		if view.Revision() < p.written[set] || equal(p.kept[set], list) {
			continue
		}
		group.Go(func() error {
			at, err := p.cfg.Keeper.Keep(ctx, set.Service, set.Source, list)
			results <- result{set, at, err}
			return nil
		})
	}
	_ = group.Wait() // each tells its own error
	close(results)
	all := true
	for one := range results {
		if p.tell(one.set, one.err); one.err != nil {
			all = false
			continue
		}
		p.written[one.set] = one.at
	}
	return all
}

// tell logs why a set could not be written when it is another reason than before.
func (p *Placer) tell(set Set, err error) {
	if err == nil {
		delete(p.told, set)
		return
	}
	if p.told[set] != err.Error() {
		p.told[set] = err.Error()
		p.cfg.Logger.Warn("the machines of a service could not be written; it is tried again", "service", set.Service, "source", set.Source, "error", err)
	}
}

// equal says whether the instances of a set are as they are wanted.
func equal(kept map[mesh.InstanceID]*mesh.Instance, wanted []mesh.Instance) bool {
	if len(kept) != len(wanted) {
		return false
	}
	for i := range wanted {
		is := kept[wanted[i].ID]
		if is == nil || !same(is, &wanted[i]) {
			return false
		}
	}
	return true
}

func same(a, b *mesh.Instance) bool {
	return a.Address == b.Address && a.Port == b.Port && a.Locality == b.Locality && a.Weight == b.Weight &&
		cmp.Or(a.Health, mesh.Healthy) == cmp.Or(b.Health, mesh.Healthy) && a.MTLS == b.MTLS && maps.Equal(a.Labels, b.Labels)
}
