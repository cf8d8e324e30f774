package agent

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// origin is who says of problems; each says all that it has.
type origin int

const (
	ofFleet  origin = iota // what hosts say
	ofGossip               // what is not taken of what they say
	ofFound                // what this host's sources found, and nobody is told
	ofProxy                // what its proxy says
	ofEnvoys               // what Envoys that are configured from here refuse
	origins
)

// problems gathers what is wrong for the snapshots.
type problems struct {
	mu      sync.Mutex
	list    [origins][]hosts.Problem // guarded by mu
	proxies [origins]ofProxies       // guarded by mu
	wake    chan struct{}            // capacity 1: the list is another one
	many    rate.Sometimes           // of lines that say that there are too many
}

// How problems are logged. Those that are over before they have settled are in no log, and
// whoever has more than linesPace allows is left to the API.
const (
	settling  = time.Second
	linesPace = 5 * time.Second
	mostLines = 100 // in a row
)

// tellProblems logs problems that are new and those that are over, until ctx ends.
func (a *Agent) tellProblems(ctx context.Context) {
	told := map[hosts.Problem]struct{}{}
	pace := rate.NewLimiter(rate.Every(linesPace), mostLines)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-a.problems.wake:
			select {
			case <-ctx.Done():
			case <-time.After(settling):
			}
		}
		told = a.tell(told, pace)
	}
}

// tell logs what differs from what was told before, and gives what is told now.
func (a *Agent) tell(told map[hosts.Problem]struct{}, pace *rate.Limiter) map[hosts.Problem]struct{} {
	a.problems.mu.Lock()
	list := slices.Concat(a.problems.list[:]...)
	a.problems.mu.Unlock()
	now, left := make(map[hosts.Problem]struct{}, len(list)), 0
	say := func(log func(string, ...any), text string, p hosts.Problem) {
		if !pace.Allow() {
			left++
			return
		}
		log(text, "host", p.Host, "service", p.Service, "problem", p.Message)
	}
	for _, p := range list {
		if _, before := told[p]; !before {
			say(a.cfg.Logger.Warn, "something of the fleet is not as it should be", p)
		}
		now[p] = struct{}{}
	}
	for p := range told {
		if _, still := now[p]; !still {
			say(a.cfg.Logger.Info, "a problem is over", p)
		}
	}
	if left > 0 {
		a.problems.many.Do(func() {
			a.cfg.Logger.Warn("problems change faster than they are logged: heddle hosts and /api/v1/problems have them all", "left out", left)
		})
	}
	return now
}

// wrong takes all problems that one origin has, and puts them into the next snapshot.
func (a *Agent) wrong(of origin, list []hosts.Problem) {
	a.problems.mu.Lock()
	defer a.problems.mu.Unlock()
	if slices.Equal(a.problems.list[of], list) {
		return
	}
	a.problems.list[of] = list
	all := slices.Concat(a.problems.list[:]...)
	a.state.set(func(next *hosts.State) bool { next.Problems = all; return true })
	select {
	case a.problems.wake <- struct{}{}:
	default:
	}
}

// proxyWrong takes all that a proxy of this host does not do as it is told. While neither
// that nor the fleet changes it costs next to nothing, for it may be called each second.
func (a *Agent) proxyWrong(of origin, list []proxy.Problem) {
	state := a.State()
	if !a.problems.another(of, state.Version, list) {
		return
	}
	problems := make([]hosts.Problem, 0, len(list))
	names := map[mesh.ServiceName]string{}
	if len(list) > 0 {
		names = state.Names()
	}
	for _, p := range list {
		problems = append(problems, hosts.Problem{
			Host: state.Self, Service: cmp.Or(names[p.Service], string(p.Service)), Port: p.Port, Message: p.Message, Proxy: p.Service == "",
		})
	}
	a.wrong(of, problems)
}

// ofProxies is what proxies said, and at which version of the fleet.
type ofProxies struct {
	list    []proxy.Problem
	version uint64
}

// another says whether it is not what was said before, of the same version, and notes it.
func (p *problems) another(of origin, version uint64, list []proxy.Problem) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := &p.proxies[of]
	if last.version == version && slices.Equal(last.list, list) {
		return false
	}
	*last = ofProxies{slices.Clone(list), version}
	return true
}
