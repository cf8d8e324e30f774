package haproxy

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// faults is what is wrong.
type faults struct {
	ofView  []proxy.Problem      // of services that cannot be served
	ofPlan  []proxy.Problem      // those, and of services that have no port
	unbound map[mesh.Port]string // that HAProxy may not have although this program may: its words
	trouble *proxy.Problem       // of all of HAProxy; nil: none
}

// take plans what a view of the catalog asks for.
func (r *Runner) take(view *catalog.View) {
	r.view = view
	r.plan, r.faults.ofView = planOf(view, r.cfg.Host, r.settings.Outbound)
}

// wanted is what is to be served, without the listeners whose ports cannot be had:
// for one of them HAProxy would refuse all.
func (r *Runner) wanted() plan {
	p, problems := plan{slices.Clone(r.plan.Listeners), r.plan.Services}, slices.Clone(r.faults.ofView)
	r.missing = false
	for port := range r.faults.unbound {
		if !slices.ContainsFunc(p.Listeners, func(l listener) bool { return l.Port == port }) {
			delete(r.faults.unbound, port) // it may have another try when it is wanted again
		}
	}
	p.Listeners = slices.DeleteFunc(p.Listeners, func(l listener) bool {
		if r.holds(l.Port) {
			return false
		}
		fault := proxy.PortFault(r.cfg.Address, l.Port)
		if fault != "" {
			r.missing = true
		} else if fault = r.faults.unbound[l.Port]; fault == "" {
			return false
		}
		if s, declared := r.view.Service(l.Service); declared {
			problems = append(problems, proxy.NoPort(s, l.Port, fault))
		}
		return true
	})
	r.faults.ofPlan = problems
	r.tell()
	return p
}

// holds says whether HAProxy itself listens there.
func (r *Runner) holds(port mesh.Port) bool {
	return slices.ContainsFunc(r.running.Listeners, func(l listener) bool { return l.Port == port })
}

// unboundLine is what HAProxy says of a listener that it cannot have, such as
// "Starting frontend port.80: cannot bind socket (Permission denied) for [127.0.0.1:80]".
// It tells of rights alone: what is another's [proxy.PortFault] sees too, and when it is free again.
var unboundLine = regexp.MustCompile(`(?m)frontend port\.(\d+): (cannot bind .*\((?:Permission denied|Operation not permitted)\).*)$`)

// suffer notes what is wrong with all of HAProxy, until [Runner.recover]. The listeners
// that it may not have are left out the next time.
func (r *Runner) suffer(what string, err error) {
	for _, m := range unboundLine.FindAllStringSubmatch(err.Error(), -1) {
		if port, err := strconv.Atoi(m[1]); err == nil {
			r.faults.unbound[mesh.Port(port)] = fmt.Sprintf("HAProxy says %q. Let it have that port and start the agent again, or give the service another ServicePort", strings.TrimSpace(m[2]))
		}
	}
	trouble := proxy.Trouble(what, err)
	r.faults.trouble = &trouble
	r.tell()
}

// recover notes that HAProxy serves what it is told.
func (r *Runner) recover() {
	if r.faults.trouble != nil {
		r.faults.trouble = nil
		r.tell()
	}
}

func (r *Runner) tell() {
	if r.cfg.Problems == nil {
		return
	}
	list := slices.Clone(r.faults.ofPlan)
	if r.faults.trouble != nil {
		list = append(list, *r.faults.trouble)
	}
	r.cfg.Problems(list)
}
