package insight

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Observed is what proxies told of calls.
type Observed struct {
	Edges     []mesh.Edge // with callers that are known by their address alone
	Reporters []Reporter
}

// Reporter is a service or gateway whose proxies are watched.
type Reporter struct {
	Name    string    // a service, or gateway/NAME
	Since   time.Time // since when it is watched without a gap; zero: it never was
	Through time.Time // until when
	Blind   time.Time // when a client of it was seen last that reports nothing
}

// DriftOptions say what counts.
type DriftOptions struct {
	Now time.Time
	// Service is the caller or callee that is asked about; "": all.
	Service string
	// UnusedDays is how long a declared call may be missing; 0: [DefaultUnusedDays].
	UnusedDays int
	// Recent is how long ago attempts and refusals count; 0: [DefaultRecent].
	Recent time.Duration
}

// The defaults of [DriftOptions].
const (
	DefaultUnusedDays = 30
	DefaultRecent     = 7 * 24 * time.Hour
)

const (
	addressCaller = "address/"
	otherCallee   = "(other)" // what was beyond the bounds of what is counted
)

// Drift compares declarations with what was seen.
func Drift(view *catalog.View, seen Observed, o DriftOptions) mesh.Drift {
	o.UnusedDays = cmp.Or(o.UnusedDays, DefaultUnusedDays)
	o.Recent = cmp.Or(o.Recent, DefaultRecent)
	limit := time.Duration(o.UnusedDays) * 24 * time.Hour
	d := drift{view: view, o: o, listener: newListener(view, seen, o.Now, limit), out: mesh.Drift{UnusedDays: o.UnusedDays, Items: []mesh.DriftItem{}}}
	calls := map[call]*mesh.Edge{}
	for i := range seen.Edges {
		one := &seen.Edges[i]
		calls[call{one.Caller, one.Callee}] = one
		d.edge(one)
	}
	for _, one := range seen.Reporters {
		if !one.Since.IsZero() && (d.out.Since.IsZero() || one.Since.Before(d.out.Since)) {
			d.out.Since = one.Since
		}
	}
	for service := range view.Services() {
		for _, callee := range service.Dependencies {
			d.silent(service, string(callee), calls[call{string(service.Name), string(callee)}])
		}
	}
	order := []mesh.DriftKind{mesh.DriftUndeclared, mesh.DriftRefused, mesh.DriftUnused, mesh.DriftUnseen, mesh.DriftPlain}
	slices.SortFunc(d.out.Items, func(a, b mesh.DriftItem) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Kind), slices.Index(order, b.Kind)), cmp.Compare(a.Caller, b.Caller), cmp.Compare(a.Callee, b.Callee))
	})
	return d.out
}

// OfAddress says whether a caller is known by its address alone.
func OfAddress(caller string) bool { return strings.HasPrefix(caller, addressCaller) }

// Declared says of each edge whether it is declared now.
func Declared(view *catalog.View, edges []mesh.Edge) {
	for i := range edges {
		edges[i].Declared = declares(view, edges[i].Caller, edges[i].Callee)
	}
}

// declares says whether a caller may call by what is declared.
func declares(view *catalog.View, caller, callee string) bool {
	if gateway, is := strings.CutPrefix(caller, mesh.GatewayCaller("")); is {
		return slices.ContainsFunc(view.RoutesTo(mesh.ServiceName(callee)), func(r *mesh.Route) bool { return r.ServedBy(mesh.ServiceName(gateway)) })
	}
	s, is := view.Service(mesh.ServiceName(caller))
	return is && slices.Contains(s.Dependencies, mesh.ServiceName(callee))
}

type drift struct {
	view     *catalog.View
	o        DriftOptions
	listener *listener
	out      mesh.Drift
	// lives are the services with instances at an address, made by livesAt.
	lives map[string][]string
}

func (d *drift) add(item mesh.DriftItem) {
	if d.o.Service != "" && item.Caller != d.o.Service && item.Callee != d.o.Service {
		return
	}
	if caller, is := d.view.Service(mesh.ServiceName(item.Caller)); is {
		item.CallerOwner = caller.Owner
	}
	d.out.Items = append(d.out.Items, item)
}

// edge tells what was attempted, refused, or called in plain text lately.
func (d *drift) edge(e *mesh.Edge) {
	item := mesh.DriftItem{Caller: e.Caller, Callee: e.Callee, Count: e.Requests, FirstSeen: e.FirstSeen, LastSeen: e.LastSeen, LastRefused: e.LastRefused, Reason: e.Reason}
	lately := func(at time.Time) bool { return !at.IsZero() && d.o.Now.Sub(at) <= d.o.Recent }
	if address, is := strings.CutPrefix(e.Caller, addressCaller); is {
		if lately(e.LastSeen) {
			item.Kind, item.Reason = mesh.DriftPlain, ""
			item.Message = fmt.Sprintf("%s calls %s in plain text, so nobody knows who it is%s", address, e.Callee, d.livesAt(address))
			item.Mend = "give it an identity (docs/identity.md), or find out who it is before the service is made strict (docs/mutual-tls.md)"
			d.add(item)
		}
		return
	}
	declared := declares(d.view, e.Caller, e.Callee)
	switch {
	case !lately(e.LastRefused):
	case e.Undeclared > 0 && !declared && e.Reason == "undeclared":
		item.Kind, item.Count = mesh.DriftUndeclared, e.Undeclared
		d.undeclared(&item)
		d.add(item)
	case e.Refused > e.Undeclared && e.Reason != "undeclared" && !mended(d.view, e.Callee, e.LastRefused, e.LastAnswered, d.o.Now):
		item.Kind, item.Count = mesh.DriftRefused, e.Refused-e.Undeclared
		d.refused(&item, declared)
		d.add(item)
	}
}

func (d *drift) undeclared(item *mesh.DriftItem) {
	callee, known := d.view.Service(mesh.ServiceName(item.Callee))
	_, callerKnown := d.view.Service(mesh.ServiceName(item.Caller))
	item.Message = fmt.Sprintf("%s tried to call %s, which it has not declared", item.Caller, item.Callee)
	switch {
	case known && callerKnown && item.Caller != item.Callee:
		item.Declarable = true
		item.Mend = command("heddle drift --declare", item.Caller, item.Callee)
		if callee.Deprecated != "" {
			item.Message += "; that is deprecated: " + callee.Deprecated
		}
	case known:
		item.Mend = fmt.Sprintf("declare %s first, with %s among its dependencies", item.Caller, item.Callee)
	default:
		item.Message += "; nobody declares a service of that name"
		item.Mend = d.unknownCallee(item)
	}
}

// unknownCallee says what is to be done about a callee that nobody declares: what
// [Propose] would make of it, if it would.
func (d *drift) unknownCallee(item *mesh.DriftItem) string {
	one, is := outside(item.Callee)
	_, address := netip.ParseAddr(strings.Trim(item.Callee, "[]"))
	switch {
	case item.Callee == otherCallee:
		return fmt.Sprintf("look into what %s calls (its proxy's access log): it asks for more hosts than are counted one by one", item.Caller)
	case is:
		if _, taken := d.view.Service(one.Name); taken {
			return fmt.Sprintf("%s is declared: if it stands for that host, the application has to ask for the host %q; %s", one.Name, one.Name, command("heddle drift --declare", item.Caller, string(one.Name)))
		}
		return fmt.Sprintf("%s proposes a declaration of %s, if it is to be called", command("heddle import --service", item.Caller), item.Callee)
	case address == nil:
		return fmt.Sprintf("if it is to be called: declare a service with that address (endpoints.static) among the dependencies of %s, and have the application ask for it by that name", item.Caller)
	case !nameable(item.Callee):
		return "no service can have that name: if it is to be called, declare one that stands for it, and have the application ask for that"
	}
	return fmt.Sprintf("if it is to be called, its owner has to declare it (heddle apply), and then: %s", command("heddle drift --declare", item.Caller, item.Callee))
}

func (d *drift) refused(item *mesh.DriftItem, declared bool) {
	would := ""
	if callee, known := d.view.Service(mesh.ServiceName(item.Callee)); known && notes(callee) {
		would = " or would be, once its access.enforcement is deny,"
	}
	item.Message = fmt.Sprintf("a call by %s is refused%s at %s: %s", item.Caller, would, item.Callee, item.Reason)
	_, callerKnown := d.view.Service(mesh.ServiceName(item.Caller))
	_, calleeKnown := d.view.Service(mesh.ServiceName(item.Callee))
	if !declared && callerKnown && calleeKnown && item.Caller != item.Callee {
		item.Declarable = true
		item.Mend = command("heddle drift --declare", item.Caller, item.Callee)
		return
	}
	item.Mend = command("heddle explain", item.Caller, item.Callee)
}

// silent tells of a declared call that was not seen for long, and claims no more
// than it was watched for.
func (d *drift) silent(caller *mesh.Service, callee string, e *mesh.Edge) {
	watched := d.listener.reporters[string(caller.Name)]
	item := mesh.DriftItem{Kind: mesh.DriftUnseen, Caller: string(caller.Name), Callee: callee, Watching: watched.Since}
	if e != nil {
		item.Count, item.FirstSeen, item.LastSeen = e.Requests, e.FirstSeen, e.LastSeen
	}
	since := "watching since " + watched.Since.UTC().Format(time.DateOnly)
	switch d.listener.of(item.Caller, callee, item.LastSeen) {
	case heard:
		return
	case unwatched:
		item.Message = fmt.Sprintf("not observed; no sidecar of %s has been watched yet", caller.Name)
	case blind:
		item.Blind = true
		item.Message = fmt.Sprintf("not observed; %s has gRPC clients without a sidecar, which report nothing", caller.Name)
	case crowded:
		item.Message = fmt.Sprintf("not observed; %s calls more than is counted one by one", caller.Name)
	case lapsed:
		item.Message = fmt.Sprintf("not observed; no sidecar of %s has been watched since %s", caller.Name, watched.Through.UTC().Format(time.DateOnly))
	case early:
		item.Message = "not observed yet; " + since
		if !d.listener.lately(watched.Since) && !watched.Since.IsZero() {
			item.Message = fmt.Sprintf("not observed yet; the declaration of %s changed on %s", caller.Name, caller.Meta.UpdatedAt.UTC().Format(time.DateOnly))
		}
	case silent:
		item.Kind = mesh.DriftUnused
		item.Message = "declared, and never called; " + since
		if e != nil {
			item.Message = fmt.Sprintf("declared, and not called since %s; %s", e.LastSeen.UTC().Format(time.DateOnly), since)
		}
		item.Mend = fmt.Sprintf("if %s does not call it any more: take %s out of its dependencies (%s, heddle apply)", caller.Name, callee, command("heddle get service", string(caller.Name), "-o", "yaml"))
	}
	d.add(item)
}

// together is how far apart both sides' reports of the same call may come.
const together = 10 * time.Second

// mended says whether calls have been answered since one was refused last. Where some
// still are refused they follow each other, so that none of that counts at once; and
// where refusals are only noted each such call is answered, too.
func mended(view *catalog.View, callee string, refused, answered, now time.Time) bool {
	if s, is := view.Service(mesh.ServiceName(callee)); is && notes(s) {
		return answered.Sub(refused) > together
	}
	return answered.After(refused) && now.Sub(refused) > together
}

// notes says whether a service only notes whom it would refuse.
func notes(s *mesh.Service) bool {
	return s.Access.Enforcement == mesh.Observe || s.Access.Enforcement == mesh.Warn
}

// livesAt names the services with instances at an address, of which the caller may be one.
func (d *drift) livesAt(address string) string {
	if d.lives == nil {
		d.lives = servicesByAddress(d.view)
	}
	names := d.lives[address]
	if len(names) == 0 {
		return ""
	}
	return "; at that address there are instances of " + strings.Join(names, ", ")
}

// servicesByAddress gives the services with instances at each address, in order. All
// are looked up at once: there may be as many callers as there are instances.
func servicesByAddress(view *catalog.View) map[string][]string {
	at := map[string][]string{}
	for service := range view.Services() {
		for _, one := range view.Instances(service.Name) {
			at[one.Address] = append(at[one.Address], string(service.Name))
		}
	}
	for address, names := range at {
		slices.Sort(names)
		at[address] = slices.Compact(names)
	}
	return at
}
