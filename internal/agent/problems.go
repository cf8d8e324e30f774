package agent

import (
	"slices"
	"sync"

	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// origin is who says of problems; each says all that it has.
type origin int

const (
	ofFleet  origin = iota // what hosts say
	ofFound                // what this host's sources found, and nobody is told
	ofProxy                // what its proxy says
	ofEnvoys               // what Envoys that are configured from here refuse
	origins
)

// problems gathers what is wrong for the snapshots.
type problems struct {
	mu   sync.Mutex
	list [origins][]hosts.Problem // guarded by mu
}

// wrong takes all problems that one origin has, puts them into the next snapshot, and
// logs those that are new and those that are over.
func (a *Agent) wrong(of origin, list []hosts.Problem) {
	a.problems.mu.Lock()
	defer a.problems.mu.Unlock()
	before := a.problems.list[of]
	if slices.Equal(before, list) {
		return
	}
	a.problems.list[of] = list
	all := slices.Concat(a.problems.list[:]...)
	a.state.set(func(next *hosts.State) bool { next.Problems = all; return true })
	for _, p := range list {
		if !slices.Contains(before, p) {
			a.cfg.Logger.Warn("something of the fleet is not as it should be", "host", p.Host, "service", p.Service, "problem", p.Message)
		}
	}
	for _, p := range before {
		if !slices.Contains(list, p) {
			a.cfg.Logger.Info("a problem is over", "host", p.Host, "service", p.Service, "problem", p.Message)
		}
	}
}

// proxyWrong takes all that a proxy of this host does not do as it is told.
func (a *Agent) proxyWrong(of origin, list []proxy.Problem) {
	state := a.State()
	problems := make([]hosts.Problem, 0, len(list))
	for _, p := range list {
		problems = append(problems, hosts.Problem{Host: state.Self, Service: state.NameOf(p.Service), Port: p.Port, Message: p.Message})
	}
	a.wrong(of, problems)
}
