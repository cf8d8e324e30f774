package insight

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// endpoints asks whether there is an instance that may be called, where the route
// sends requests.
func (i *inquiry) endpoints() mesh.ExplainedStep {
	name := i.callee.Name
	targets := i.ours()
	if slices.ContainsFunc(targets, func(t target) bool { return t.resolved() }) {
		d := i.callee.Resolved()
		evidence := declaration(i.callee, "endpoints.dns.host: %s", d.Host)
		if i.callee.Endpoints.DNS == nil {
			evidence = declaration(i.callee, "endpoints.kubernetes.discovery: %s", mesh.KubernetesDNS)
		}
		return because(unknown("each proxy resolves %s by itself: whether it finds an address, this server does not know.", d.Host), evidence)
	}
	total, lost := uint32(0), uint32(0)
	healthy := 0
	var empty []target
	for _, t := range targets {
		total += t.weight
		healthy = max(healthy, t.healthy)
		if t.healthy == 0 {
			lost += t.weight
			empty = append(empty, t)
		}
	}
	sees := answer(503, "", "no healthy upstream")
	if i.gateway != "" {
		sees = answer(503, "no-instance", "")
	}
	if i.tcp() {
		sees = closed("the connection is closed at once")
	}
	if len(empty) == len(targets) {
		why, mend := i.whyEmpty(empty[0])
		return because(stops(sees, mend, "%s", why), i.instanceEvidence()...)
	}
	if len(empty) > 0 {
		sees.Percent = 100 * float64(lost) / float64(total)
		i.out.Some = append(i.out.Some, sees)
		why, mend := i.whyEmpty(empty[0])
		return because(doubts(mend, "%.4g %% of the requests get a 503: %s", sees.Percent, why), i.instanceEvidence()...)
	}
	if !i.callee.Endpoints.Registered() {
		return because(ok("%q has %s.", name, plural(len(i.callee.Endpoints.Static), "fixed address")), declaration(i.callee, "endpoints.static"))
	}
	if slices.ContainsFunc(i.View.Instances(name), func(one *mesh.Instance) bool { return one.Stale }) {
		return because(doubts(command("heddle get instances", string(name)), "%s of %q may be called, but most lost their leases at once: they are the last ones known, and may be gone.", plural(healthy, "instance"), name), i.instanceEvidence()...)
	}
	checked := ""
	if i.callee.HealthCheck != nil {
		checked = " Callers' proxies check their health too, which this server does not see."
	}
	return because(ok("%s of %q may be called.%s", plural(healthy, "instance"), name, checked), i.instanceEvidence()...)
}

// whyEmpty says why nobody is behind a target, and what to do.
func (i *inquiry) whyEmpty(t target) (why, mend string) {
	name := i.callee.Name
	instances := i.View.Instances(name)
	look := i.looks()
	switch {
	case !i.callee.Endpoints.Registered():
		return fmt.Sprintf("%q has no address that may be called.", name), command("heddle get service", string(name), "-o", "yaml")
	case len(instances) == 0 && i.callee.Endpoints.VMs != nil:
		return i.whyNoMachine()
	case len(instances) == 0:
		return fmt.Sprintf("%q has no instance: none is registered.", name), command("heddle proxy --service", string(name), "--app-port", "PORT")
	case t.subset != nil && t.all == 0:
		return fmt.Sprintf("no instance of %q is in %s, which the route sends requests to.", name, i.subsetName(t)), look
	}
	states := map[string]int{}
	for _, one := range instances {
		states[string(cmp.Or(one.Health, mesh.Healthy))]++
	}
	var words []string
	for _, state := range []string{"healthy", "draining", "unhealthy"} {
		if states[state] > 0 {
			words = append(words, fmt.Sprintf("%d %s", states[state], state))
		}
	}
	where := ""
	if t.subset != nil {
		where = " in " + i.subsetName(t)
	}
	return fmt.Sprintf("no instance of %q%s may be called: of all there are, %s.", name, where, strings.Join(words, ", ")), look
}

func (i *inquiry) instanceEvidence() []mesh.ExplainedEvidence {
	var out []mesh.ExplainedEvidence
	instances := i.View.Instances(i.callee.Name)
	for n, one := range instances {
		if n == mostShown {
			return append(out, mesh.ExplainedEvidence{Says: fmt.Sprintf("and %d more", len(instances)-n)})
		}
		says := string(cmp.Or(one.Health, mesh.Healthy))
		if one.Stale {
			says += ", stale"
		}
		if one.MTLS {
			says += ", takes mutual TLS"
		}
		for _, subset := range i.callee.Subsets {
			if carries(one, subset.Labels) {
				says += ", in subset " + subset.Name
			}
		}
		out = append(out, mesh.ExplainedEvidence{Object: "instance/" + one.Key().String(), Revision: one.Meta.Revision, Says: fmt.Sprintf("%s:%d %s", one.Address, one.Port, says)})
	}
	return out
}

func carries(i *mesh.Instance, labels map[string]string) bool {
	for key, value := range labels {
		if got, has := i.Labels[key]; !has || got != value {
			return false
		}
	}
	return true
}
