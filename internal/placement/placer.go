package placement

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Keeper writes the instances that a source has of a service.
type Keeper interface {
	// Keep writes the full set. With an error of [mesh.ReasonTaken] all is written but
	// for instances whose IDs others have.
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
	// Faults is told which sets could not be written, whenever that changes, and must not
	// block; default: nobody is.
	Faults  func([]mesh.UnwrittenSet)
	Metrics *Metrics     // default: none
	Logger  *slog.Logger // default: discard
}

// Placer keeps the instances what [Place] says, and looks at those machines alone that a
// change concerns. Make it with [New].
type Placer struct {
	cfg Config

	// Of Run's goroutine:
	machines *machines
	services map[mesh.ServiceName]*service // that want machines, or have some; nil: the mesh was not read yet
	byTags   map[mesh.ServiceName]*service // those that ask for tags
	due      map[*set]struct{}             // to be looked at
	faulty   map[*set]struct{}
	seen     catalog.Mark // of the latest view
	writing  int
	retrying int // of those, how many failed before
	taken    int // writes that etcd took
	results  chan result
}

// New makes a placer that does nothing until Run.
func New(cfg Config) *Placer {
	cfg.Retry = cmp.Or(cfg.Retry, 2*time.Second)
	if cfg.Faults == nil {
		cfg.Faults = func([]mesh.UnwrittenSet) {}
	}
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics(nil)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Placer{cfg: cfg, results: make(chan result, mostWrites)}
}

// Run keeps what differs until ctx ends.
func (p *Placer) Run(ctx context.Context) {
	feed := p.cfg.Catalog.Subscribe()
	defer feed.Close()
	defer p.end()
	view := p.cfg.Catalog.View()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-feed.Ready():
			next, changes, err := feed.Take()
			if err != nil {
				return
			}
			if view = next; view.Synced() {
				p.note(view, changes)
			}
		case done := <-p.results:
			p.settle(done)
		case <-timer.C: // a set may be tried again
		}
		if next := p.write(ctx, view); !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// end waits for the writes under way, whose context has ended.
func (p *Placer) end() {
	for ; p.writing > 0; p.writing-- {
		<-p.results
	}
	p.cfg.Metrics.left()
}

// note takes in what changed, and which sets it concerns.
func (p *Placer) note(view *catalog.View, changes catalog.Changes) {
	if p.services == nil || view.Mark().Epoch != p.seen.Epoch { // it is the first, or the registry was restored
		p.whole(view)
		return
	}
	p.seen = view.Mark()
	for name := range changes.Services {
		p.declared(view, name)
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
		if s := p.services[name]; s != nil || view.HasMachines(name) {
			p.service(view, name).took(view.Instances(name), p.machines, p.look)
		}
	}
}

// whole takes in everything.
func (p *Placer) whole(view *catalog.View) {
	p.machines, p.seen = newMachines(view), view.Mark()
	p.services, p.byTags = map[mesh.ServiceName]*service{}, map[mesh.ServiceName]*service{}
	p.due, p.faulty = map[*set]struct{}{}, map[*set]struct{}{}
	for s := range view.WantsMachines() {
		p.service(view, s.Name)
	}
	for name := range view.AsMachines() {
		p.service(view, name)
	}
	p.tell()
}

// service gives what is known of a service, and takes it in if nothing is.
func (p *Placer) service(view *catalog.View, name mesh.ServiceName) *service {
	s := p.services[name]
	if s == nil {
		s = &service{name: name, registered: map[string]int{}, sets: map[string]*set{}}
		p.services[name] = s
		p.declared(view, name)
		s.took(view.Instances(name), p.machines, p.look)
	}
	return s
}

// declared takes in a declaration.
func (p *Placer) declared(view *catalog.View, name mesh.ServiceName) {
	now, is := view.Service(name)
	if !is || now.Endpoints.VMs == nil {
		now = nil
	}
	s := p.services[name]
	if s == nil {
		if now != nil {
			p.service(view, name)
		}
		return
	}
	s.declared = now
	delete(p.byTags, name)
	if now != nil {
		if len(now.Endpoints.VMs.Tags) > 0 {
			p.byTags[name] = s
		}
		for _, source := range now.Endpoints.VMs.Sources {
			s.set(source)
		}
	}
	for _, one := range s.sets { // those of sources that it does not want any more, too
		one.whole = true
		p.look(one)
	}
}

// look has a set looked at that changed. One that could not be written is tried again soon
// for that, and at once if it was for IDs that others have.
func (p *Placer) look(one *set) {
	p.due[one] = struct{}{}
	switch soon := time.Now().Add(p.cfg.Retry); {
	case one.fault.taken:
		one.fault.next = time.Time{}
	case one.fault.next.After(soon):
		one.fault.next = soon
	}
}

// concerns has those sets looked at that a machine may be in.
func (p *Placer) concerns(vm *mesh.VM) {
	one := func(s *service) {
		if s != nil && s.wants(vm.Source) {
			set := s.set(vm.Source)
			set.due[vm.Key()] = struct{}{}
			p.look(set)
		}
	}
	for _, run := range vm.Runs {
		one(p.services[run.Name])
	}
	for _, s := range p.byTags {
		one(s)
	}
}

// tell tells of the sets that could not be written.
func (p *Placer) tell() {
	list := make([]mesh.UnwrittenSet, 0, len(p.faulty))
	for one := range p.faulty {
		list = append(list, mesh.UnwrittenSet{Service: one.of.Service, Source: one.of.Source, Error: one.fault.err.Error(), Since: one.fault.since})
	}
	slices.SortFunc(list, func(a, b mesh.UnwrittenSet) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Source, b.Source))
	})
	p.cfg.Metrics.failing.Set(float64(len(list)))
	p.cfg.Faults(list)
}
