package bridge

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/lease/leasetest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// registry tells its mirrors of what is registered, a moment later.
type registry struct {
	*leasetest.Registrar
	mirrors []*mirror
}

func (*registry) Stream(context.Context, int64, func(client.Event) error) error { return nil }

func (r *registry) Register(ctx context.Context, list []mesh.Instance, ttl time.Duration) ([]mesh.Instance, error) {
	made, err := r.Registrar.Register(ctx, list, ttl)
	if err == nil {
		time.AfterFunc(50*time.Millisecond, func() {
			for _, m := range r.mirrors {
				change(m, false, nil, &made[0])
			}
		})
	}
	return made, err
}

// pair are two bridges of one fleet, which has one copy; it is the share of owner.
type pair struct {
	*registry
	owner, other   *exporter
	fleets         map[*exporter]*fleet
	ctx            context.Context
	missing, stale time.Duration // for how long the copy was not registered, or not as it is
}

var able = hosts.Bridge{Follows: true}

func withPair(t *testing.T, play func(p *pair)) {
	synctest.Test(t, func(t *testing.T) {
		p := &pair{registry: &registry{Registrar: &leasetest.Registrar{}}, fleets: map[*exporter]*fleet{}}
		ctx, cancel := context.WithCancel(t.Context())
		p.ctx = ctx
		for _, name := range []string{"b1", "b2"} {
			f, e := newFleet(p.registry, "h1")
			e.cfg.Host = name
			e.told.Store(&able)
			p.mirrors = append(p.mirrors, e.mirror)
			p.fleets[e] = f
			p.owner, p.other = e, p.owner
		}
		p.knows(p.owner, p.other, &able)
		p.knows(p.other, p.owner, &able)
		if wanted, _ := p.owner.wanted(); len(wanted) == 0 {
			p.owner, p.other = p.other, p.owner
		}
		p.goOn(95*time.Second, p.owner, p.other)
		p.missing, p.stale = 0, 0
		play(p)
		cancel()
		p.owner.tasks.Wait()
		p.other.tasks.Wait()
	})
}

// knows has one bridge know of another what it says; nil: that it is none.
func (p *pair) knows(one, another *exporter, said *hosts.Bridge) {
	f := p.fleets[one]
	hosts := []hosts.Host{f.state.Hosts[0], {Name: another.cfg.Host, Bridge: said}}
	state := *f.state
	state.Hosts = hosts
	f.state = &state
}

// goOn lets those bridges work for a time.
func (p *pair) goOn(d time.Duration, who ...*exporter) {
	const step = 50 * time.Millisecond
	for ; d > 0; d -= step {
		for _, e := range who {
			wanted, others := e.wanted()
			e.bring(p.ctx, wanted, others)
		}
		time.Sleep(step)
		switch is := p.Instance(); {
		case is == nil:
			p.missing += step
			for _, m := range p.mirrors {
				change(m, true, nil, &mesh.Instance{Service: "orders", ID: "ours.h1:file:1:8000"})
			}
		case is.Labels[BridgeLabel] != p.owner.cfg.Host:
			p.stale += step
		}
	}
}

func (p *pair) registrations() int {
	return strings.Count(strings.Join(p.History(), "\n"), "register")
}

// A share that changes hands for a moment, as when a bridge begins, or stood still for long
// enough to be taken for dead, is its owner's again as soon as both know of each other, and
// the copy is registered all the while.
func TestAShareThatWasTakenForAMomentComesBack(t *testing.T) {
	for _, away := range []time.Duration{300 * time.Millisecond, 6 * time.Second, 20 * time.Second} {
		for _, still := range []bool{false, true} {
			withPair(t, func(p *pair) {
				p.knows(p.other, p.owner, nil)
				if still {
					p.goOn(away, p.other)
				} else {
					p.goOn(away, p.owner, p.other)
				}
				if by := p.Instance().Labels[BridgeLabel]; by != p.other.cfg.Host && still {
					t.Errorf("%s: it was not taken over", away)
				}
				p.knows(p.other, p.owner, &able)
				p.stale = 0
				p.goOn(time.Minute, p.owner, p.other)
				if n := p.registrations(); p.missing > 0 || p.stale > time.Second || n > 4 {
					t.Errorf("%s, still %v: missing for %s, another one's for %s, %q", away, still, p.missing, p.stale, p.History())
				}
			})
		}
	}
}

// Two bridges that do not know of each other do not take a copy from each other for ever,
// and the one that is left has it when the other's registration has ended.
func TestBridgesThatDoNotKnowEachOtherDoNotFight(t *testing.T) {
	withPair(t, func(p *pair) {
		p.knows(p.other, p.owner, nil)
		p.knows(p.owner, p.other, nil)
		p.goOn(5*time.Minute, p.owner, p.other)
		if n := p.registrations(); n != 2 || p.missing > 0 {
			t.Errorf("missing for %s, %q", p.missing, p.History())
		}
		for key := range p.other.exports {
			p.other.stop(key)
		}
		p.goOn(time.Minute, p.owner)
		if is := p.Instance(); is == nil || is.Labels[BridgeLabel] != p.owner.cfg.Host || p.missing > 2*time.Second {
			t.Errorf("%+v, missing for %s", is, p.missing)
		}
	})
}

// What ends while its share is handed over is taken away by the one that has it.
func TestWhatEndsWhileItIsHandedOverIsTakenAway(t *testing.T) {
	withPair(t, func(p *pair) {
		p.knows(p.other, p.owner, nil)
		p.goOn(6*time.Second, p.other) // the owner stands still
		p.knows(p.other, p.owner, &able)
		for _, f := range p.fleets {
			f.hosts.Set("h1", hosts.Alive, nil)
			f.catalog.Apply(0, true, f.hosts.Changes())
		}
		p.goOn(2*time.Second, p.other, p.owner)
		if is := p.Instance(); is != nil {
			t.Errorf("it is still called: %+v", is)
		}
	})
}
