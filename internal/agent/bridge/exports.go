package bridge

import (
	"cmp"
	"context"
	"hash/fnv"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/lease"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// export is one copy that this bridge keeps registered.
type export struct {
	instance mesh.Instance // without health
	lease    *lease.Lease
	end      context.CancelFunc
	ended    chan struct{} // closed when nothing of it is under way any more
	refused  time.Time     // when the server refused it; zero: it did not
	denied   bool          // it did so for who asked, not for what
}

// exporter owns the leases; Export's goroutine alone touches it.
type exporter struct {
	*Bridge
	fleet   Fleet
	exports map[mesh.InstanceKey]*export
	ending  map[mesh.InstanceKey]chan struct{} // of exports that were ended
	missing map[mesh.InstanceKey]time.Time     // since when the mesh has not what this bridge answers for
	refused chan refusal
	tasks   sync.WaitGroup
}

// refusal is what the server said of a first registration.
type refusal struct {
	key mesh.InstanceKey
	why error
}

const (
	lookAgain    = time.Second // for other bridges that came or went
	refusedPause = time.Minute // before what the server refused is tried again
)

// Export keeps the fleet's copies of declared services registered, until ctx ends. They
// then stay for the rest of their leases: another bridge, or this one when it is back,
// takes them over.
func (b *Bridge) Export(ctx context.Context, fleet Fleet) error {
	e := &exporter{Bridge: b, fleet: fleet, exports: map[mesh.InstanceKey]*export{}, ending: map[mesh.InstanceKey]chan struct{}{}, missing: map[mesh.InstanceKey]time.Time{}, refused: make(chan refusal)}
	defer e.tasks.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changed := b.mirror.changed()
	feed := fleet.Catalog().Subscribe()
	defer feed.Close()
	select { // a bridge that does not know of the others would take all that is theirs
	case <-ctx.Done():
		return nil
	case <-fleet.Known():
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-feed.Ready():
			if _, _, err := feed.Take(); err != nil {
				return err
			}
		case r := <-e.refused:
			if one := e.exports[r.key]; one != nil {
				one.refused, one.denied = time.Now(), mesh.KindOf(r.why) == mesh.KindDenied
			}
			continue
		case <-time.After(lookAgain):
		}
		for _, key := range e.writes.due(time.Now()) {
			e.tasks.Go(func() { e.writes.ask(ctx, key) })
		}
		wanted, others := e.wanted()
		e.bring(ctx, wanted, others)
		e.check(wanted, time.Now())
	}
}

// wanted gives what this bridge is to have registered, and what it is to leave alone: what
// other bridges answer for, and what the fleet has lost sight of: nobody knows whether that
// has ended, so it is neither renewed nor taken away.
func (e *exporter) wanted() (wanted map[mesh.InstanceKey]mesh.Instance, others map[mesh.InstanceKey]struct{}) {
	wanted, others = map[mesh.InstanceKey]mesh.Instance{}, map[mesh.InstanceKey]struct{}{}
	for key := range e.fleet.State().Lost() { // the catalog hears of it later
		others[mesh.InstanceKey{Service: key.Service, ID: e.exportedID(key.ID)}] = struct{}{}
	}
	view, names := e.fleet.Catalog().View(), map[mesh.ServiceName]struct{}{}
	for s := range view.Services() {
		if !hosts.Chosen(e.cfg.Exports, s.Name) || !e.mirror.declared(s.Name) {
			continue
		}
		names[s.Name] = struct{}{}
		bridges := e.bridges(s.Name)
		for _, one := range view.Instances(s.Name) {
			if one.Meta.Source == hosts.FromMesh {
				continue
			}
			export := mesh.Instance{
				ID: e.exportedID(one.ID), Service: s.Name, Address: one.Address, Port: one.Port,
				Health: cmp.Or(one.Health, mesh.Healthy), Labels: map[string]string{},
			}
			if one.Stale || responsible(bridges, export.Key()) != e.cfg.Host {
				others[export.Key()] = struct{}{}
			}
			if _, is := others[export.Key()]; is {
				continue
			}
			maps.Copy(export.Labels, one.Labels)
			export.Labels[FleetLabel], export.Labels[SourceLabel], export.Labels[BridgeLabel] = e.cfg.Fleet, one.Meta.Source, e.cfg.Host
			wanted[export.Key()] = export
		}
	}
	e.writes.concern(names)
	return wanted, others
}

func (e *exporter) exportedID(id mesh.InstanceID) mesh.InstanceID {
	return mesh.FitInstanceID(e.cfg.Fleet + "." + string(id))
}

// bridges lists the hosts among which a service's copies are shared: the bridges that can
// have them registered now. When none can, all that are there for it go on trying.
func (e *exporter) bridges(service mesh.ServiceName) []string {
	var can, try []string
	add := func(name string, b *hosts.Bridge) {
		if b.For(service) {
			try = append(try, name)
		}
		if b.Registers(service) {
			can = append(can, name)
		}
	}
	add(e.cfg.Host, e.told.Load())
	for _, h := range e.fleet.State().Hosts {
		if h.Bridge != nil && h.Status == hosts.Alive && h.Name != e.cfg.Host {
			add(h.Name, h.Bridge)
		}
	}
	if len(can) > 0 {
		return can
	}
	return try
}

// responsible chooses one bridge for each copy, the same wherever it is asked, and so
// that few copies change hands when a bridge comes or goes (rendezvous hashing).
func responsible(bridges []string, key mesh.InstanceKey) string {
	best, most := "", uint64(0)
	for _, one := range bridges {
		sum := fnv.New64a()
		_, _ = sum.Write([]byte(one + "\x00" + key.String())) // it never fails
		mixed := sum.Sum64() * 0x9e3779b97f4a7c15             // FNV's high bits differ too little among names that end alike
		mixed ^= mixed >> 32
		if best == "" || mixed > most || mixed == most && one < best {
			best, most = one, mixed
		}
	}
	return best
}

// bring makes the registrations what is wanted. What was lost sight of stays for the rest
// of its lease: the mesh's own guard then judges how much that is. What has ended is taken
// away by who has it, also if another bridge answers for it by now.
func (e *exporter) bring(ctx context.Context, wanted map[mesh.InstanceKey]mesh.Instance, others map[mesh.InstanceKey]struct{}) {
	ended, cancel := context.WithCancel(ctx)
	cancel() // what has not settled is looked at again, and not waited for
	maps.DeleteFunc(e.ending, func(_ mesh.InstanceKey, ended chan struct{}) bool { return isClosed(ended) })
	for key, one := range e.exports {
		_, still := wanted[key]
		_, left := others[key]
		switch {
		case still:
		case left, !one.refused.IsZero():
			e.stop(key) // nobody knows, another bridge has it, or nobody does: it is not taken away
		default:
			one.lease.Set(lease.State{})
			if one.lease.Settle(ended) {
				e.stop(key)
			}
		}
	}
	for key, instance := range wanted {
		e.keep(ctx, key, instance)
	}
}

// stop lets go of a copy. Something of it may still be under way.
func (e *exporter) stop(key mesh.InstanceKey) {
	one := e.exports[key]
	one.end()
	e.ending[key] = one.ended
	delete(e.exports, key)
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// isLeftToThis says whether a copy that this bridge answers for, and has registered, is
// another one's in the mesh, but not for long: what has that one registered has ended, or
// it is a bridge that this one knows, and so lets go of it as soon as it knows of this one.
// Of two bridges that know each other one alone answers for a copy, so they do not take it
// from each other for ever. From one that is not known, in a partition, nothing is taken.
func (e *exporter) isLeftToThis(key mesh.InstanceKey, one *export) bool {
	bridge, registered := e.mirror.bridgeOf(key)
	if !registered {
		return one.lease.Contested()
	}
	return bridge != e.cfg.Host && slices.Contains(e.bridges(key.Service), bridge)
}

// again says whether what was refused is to be tried again: after a pause, or when the
// server does not refuse the service any more, which is asked more often.
func (one *export) again(refused bool) bool {
	return !one.refused.IsZero() && (time.Since(one.refused) > refusedPause || one.denied && !refused)
}

// keep has one copy registered as it is.
func (e *exporter) keep(ctx context.Context, key mesh.InstanceKey, instance mesh.Instance) {
	state := lease.State{Health: instance.Health, Port: instance.Port}
	instance.Health = ""
	one := e.exports[key]
	if one != nil && (!reflect.DeepEqual(one.instance, instance) || one.again(e.writes.refuses(key.Service))) {
		e.stop(key)
		one = nil
	}
	if one == nil {
		before := e.ending[key]
		delete(e.ending, key)
		life, end := context.WithCancel(ctx)
		one = &export{instance: instance, end: end, ended: make(chan struct{}), lease: lease.New(e.writes, instance, e.cfg.TTL, e.cfg.Logger)}
		e.exports[key] = one
		e.tasks.Go(func() {
			defer close(one.ended)
			if before != nil {
				<-before // a registration of it that came after this one's would be what counts
			}
			if err := one.lease.Run(life); err != nil {
				pause := refusedPause
				if mesh.KindOf(err) == mesh.KindDenied {
					pause = askAgain
				}
				e.cfg.Logger.Error("the mesh refuses a copy of the fleet; it is tried again", "after", pause, "instance", key.String(), "error", err)
				select {
				case e.refused <- refusal{key, err}:
				case <-life.Done():
				}
			}
		})
	}
	one.lease.Set(state)
	if e.isLeftToThis(key, one) {
		one.lease.Take()
	}
}
