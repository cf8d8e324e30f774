package health

import (
	"context"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// watch is what one goroutine knows of a source's services.
type watch struct {
	monitor *Monitor
	source  string
	list    []hosts.Service
	known   map[string]*one // by ID
	news    chan news
	workers sync.WaitGroup
	last    []hosts.Service // what was handed on
	told    bool
}

// one is what is known of one service.
type one struct {
	check   hosts.Check
	place   place
	verdict verdict // no Health: what the source says counts
	cancel  context.CancelFunc
}

// place is what a check is made of, besides the check.
type place struct {
	Address string
	Ports   []hosts.Port
}

// news is that the verdict on a service is another one.
type news struct {
	id string
	of *one
	verdict
}

// listed takes what the source has found. The checks of what is gone end; what is as it
// was is checked on.
func (w *watch) listed(ctx context.Context, list []hosts.Service) {
	w.list = slices.Clone(list)
	there, added := map[string]struct{}{}, 0
	for _, s := range w.list {
		there[s.ID] = struct{}{}
		if w.known[s.ID] == nil {
			added++
		}
	}
	for id, o := range w.known {
		if _, still := there[id]; !still {
			o.cancel()
			delete(w.known, id)
		}
	}
	for _, s := range w.list {
		o := &one{check: w.monitor.checkOf(s), place: place{s.Address.String(), s.Ports}}
		before := w.known[s.ID]
		if before != nil && before.check == o.check && reflect.DeepEqual(before.place, o.place) {
			continue
		}
		j := newJudge(o.check)
		if before != nil {
			before.cancel()
			if o.check.Initial == "" && before.verdict.Health != "" && reflect.DeepEqual(before.place, o.place) {
				j.verdict = before.verdict // it is asked something else, and serves meanwhile
			}
		}
		w.known[s.ID] = o
		w.start(ctx, s, o, j, added)
	}
}

// start begins to check a service. added is how many were found with it.
func (w *watch) start(ctx context.Context, s hosts.Service, o *one, j judge, added int) {
	ctx, o.cancel = context.WithCancel(ctx)
	ask, err := probeOf(s, o.check, w.monitor.cfg.Host, w.monitor.cfg.Environment)
	switch {
	case err != nil:
		o.verdict = verdict{Health: hosts.Unhealthy, Reason: hosts.ShortReason(err.Error())}
		w.monitor.cfg.Logger.Warn("a service cannot be checked, and gets no requests", "service", s.Name, "id", s.ID, "source", w.source, "reason", err)
		return
	case ask == nil:
		return
	}
	o.verdict = j.verdict
	first := spread(added, o.check.Interval)
	w.workers.Go(func() {
		w.monitor.follow(ctx, ask, o.check, j, first, func(v verdict) {
			select {
			case w.news <- news{s.ID, o, v}:
			case <-ctx.Done():
			}
		})
	})
}

// spread gives when the first check is of one of so many services that were found at once.
func spread(services int, interval time.Duration) time.Duration {
	within := min(time.Duration(max(services-1, 0))*2*apart, interval)
	return rand.N(within + 1) //nolint:gosec // it is to spread, and not to be secret
}

// heard takes a verdict, and all others that are there at the same time.
func (w *watch) heard(n news) {
	for {
		if o := w.known[n.id]; o == n.of { // else it came from what was checked before
			w.log(n, o.verdict)
			o.verdict = n.verdict
		}
		select {
		case n = <-w.news:
		default:
			return
		}
	}
}

func (w *watch) log(n news, before verdict) {
	name := mesh.ServiceName("")
	for _, s := range w.list {
		if s.ID == n.id {
			name = hosts.MeshName(s.Name)
		}
	}
	attributes := []any{"service", name, "id", n.id, "source", w.source}
	switch n.Health {
	case before.Health:
	case hosts.Healthy:
		w.monitor.cfg.Logger.Info("a service is healthy", attributes...)
	default:
		w.monitor.cfg.Logger.Warn("a service is not healthy, and gets no requests", append(attributes, "reason", n.Reason)...)
	}
}

// tell hands on the services as they are, if that is not what was handed on last.
func (w *watch) tell(found func([]hosts.Service)) {
	list := slices.Clone(w.list)
	for i, s := range list {
		v := w.known[s.ID].verdict
		if v.Health != "" && s.Health != hosts.Draining && s.Health != hosts.Unhealthy {
			list[i].Health, list[i].Reason = v.Health, v.Reason
		}
	}
	if w.told && reflect.DeepEqual(list, w.last) {
		return
	}
	w.last, w.told = list, true
	found(list)
}
