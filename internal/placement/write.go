package placement

import (
	"context"
	"time"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// mostWrites is how many sets are written at a time, and mostRetries how many of these
// failed before: those hold up nobody else.
const (
	mostWrites  = 8
	mostRetries = 2
)

// mostPause bounds how long a set waits that could not be written, in Config.Retry.
const mostPause = 30

// result is what a write of a set came to.
type result struct {
	set     *set
	whole   bool
	taken   int // writes that etcd had taken when it began
	retry   bool
	seen    int64 // the revision of the view that it is of
	written Written
	err     error
}

// write begins to write what differs of the sets that are due, and says when the next one
// may be tried that has failed; zero: there is none.
func (p *Placer) write(ctx context.Context, view *catalog.View) (next time.Time) {
	now := time.Now()
	for one := range p.due {
		switch {
		case one.writing: // it is due again once that is done
		case view.Revision() < one.written.Revision: // the next view has what was written
		case one.fault.next.After(now):
			if next.IsZero() || one.fault.next.Before(next) {
				next = one.fault.next
			}
		case p.writing == mostWrites || one.fault.err != nil && p.retrying == mostRetries: // a result comes
		default:
			p.begin(ctx, one)
		}
	}
	return next
}

// begin looks at a set, and begins to write what it lacks.
func (p *Placer) begin(ctx context.Context, one *set) {
	s := p.services[one.of.Service]
	s.look(one, p.machines)
	p.cfg.Metrics.overflows(one.of, one.left)
	change := one.change()
	if len(change.Instances)+len(change.Removed) == 0 {
		delete(p.due, one)
		p.mended(one)
		p.forget(s, one)
		return
	}
	done := result{set: one, taken: p.taken, whole: one.written.Base == 0, retry: one.fault.err != nil, seen: p.seen.Revision}
	var list []mesh.Instance
	if done.whole {
		list = one.list()
	}
	change.Base = one.written.Base
	one.writing = true
	p.writing++
	if done.retry {
		p.retrying++
	}
	go func() {
		if done.whole {
			done.written, done.err = p.cfg.Keeper.Keep(ctx, one.of.Service, one.of.Source, list)
		} else {
			done.written, done.err = p.cfg.Keeper.Change(ctx, one.of.Service, one.of.Source, change)
		}
		p.results <- done
	}()
}

// settle takes in what a write came to.
func (p *Placer) settle(done result) {
	one := done.set
	one.writing = false
	p.writing--
	if done.retry {
		p.retrying--
	}
	if s := p.services[one.of.Service]; s == nil || s.sets[one.of.Source] != one {
		return // of before the registry was restored
	}
	p.due[one] = struct{}{}
	switch {
	case done.err == nil:
		one.written = done.written
		p.cfg.Metrics.written("ok")
		p.mended(one)
		if done.written.Revision <= done.seen { // the registry was restored: the view has that soon
			one.fault.next = time.Now().Add(p.cfg.Retry)
		}
		p.etcdTakes()
	case mesh.ReasonOf(done.err) == mesh.ReasonTaken:
		one.written.Revision, one.written.Base = max(one.written.Revision, done.written.Revision), 0
		p.failed(one, done.err, true)
	case !done.whole: // somebody else wrote it meanwhile, or it was cut off: the whole set tells
		one.written.Base = 0
	default:
		p.failed(one, done.err, false)
		one.fault.away = mesh.KindOf(done.err) == mesh.KindUnavailable && done.taken == p.taken
	}
}

// etcdTakes has those sets tried at once that could not be written while etcd was away: it
// takes writes again. What failed while it took others has a fault of its own, and what has
// just failed waits for a moment.
func (p *Placer) etcdTakes() {
	p.taken++
	for one := range p.faulty {
		if one.fault.away {
			one.fault.away, one.fault.next = false, one.fault.last.Add(p.cfg.Retry)
		}
	}
}

// failed has a set tried again later.
func (p *Placer) failed(one *set, err error, taken bool) {
	p.cfg.Metrics.written("failed")
	before := one.fault.err
	pause := min(p.cfg.Retry<<min(one.fault.tries, 16), mostPause*p.cfg.Retry)
	if one.whole || len(one.due) > 0 { // it has changed meanwhile
		pause = p.cfg.Retry
	}
	one.fault.tries++
	one.fault.err, one.fault.taken, one.fault.last = err, taken, time.Now()
	one.fault.next = one.fault.last.Add(pause)
	if before == nil {
		one.fault.since = time.Now()
	}
	if before == nil || before.Error() != err.Error() {
		p.faulty[one] = struct{}{}
		p.cfg.Logger.Warn("the machines of a service could not be written; it is tried again", "service", one.of.Service, "source", one.of.Source, "error", err)
		p.tell()
	}
}

// mended notes that nothing is wrong with a set any more.
func (p *Placer) mended(one *set) {
	if one.fault.err == nil {
		return
	}
	one.fault = fault{}
	delete(p.faulty, one)
	p.cfg.Logger.Info("the machines of a service are written now", "service", one.of.Service, "source", one.of.Source)
	p.tell()
}

// forget lets go of a set that the service does not want, and does not have.
func (p *Placer) forget(s *service, one *set) {
	if s.wants(one.of.Source) || len(one.kept) > 0 {
		return
	}
	delete(s.sets, one.of.Source)
	if len(s.sets) == 0 && s.declared == nil {
		delete(p.services, s.name)
	}
}
