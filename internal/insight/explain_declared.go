package insight

import (
	"fmt"
	"slices"
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/translate"
)

func (i *inquiry) callerDeclared() mesh.ExplainedStep {
	name := i.out.From
	switch {
	case i.gateway != "":
		return ok("gateway %q needs no declaration: it serves the routes that name it, or no gateway.", i.gateway)
	case i.caller == nil && i.View.Unreadable(mesh.ServiceName(name)):
		return stops(closed("the connection to the sidecar is refused, once the sidecar starts anew"), "heddle status",
			"the stored declaration of %q cannot be read, so that its sidecars are sent nothing; its owner has to apply it again.", name)
	case i.caller == nil:
		return stops(closed("the connection to the sidecar is refused: it has no configuration"), command("heddle apply -f", name+".yaml"),
			"no service %q is declared, so that its sidecars are sent nothing.%s", name, i.similar(name))
	}
	return because(ok("service %q is declared.", name), declaration(i.caller, "owner %s", i.caller.Owner))
}

func (i *inquiry) calleeDeclared() mesh.ExplainedStep {
	name := i.out.To
	switch {
	case i.callee == nil && i.View.Unreadable(name):
		return stops(i.sees(), "heddle status", "the stored declaration of %q cannot be read: its owner has to apply it again.", name)
	case i.callee == nil:
		return stops(i.sees(), command("heddle apply -f", string(name)+".yaml"), "no service %q is declared.%s", name, i.similar(string(name)))
	}
	return because(ok("service %q is declared and speaks %s.", name, i.callee.Protocol), declaration(i.callee, "owner %s, protocol %s, port %d", i.callee.Owner, i.callee.Protocol, i.callee.Port))
}

// dependency asks what the whole mesh goes by: whether the call is declared.
func (i *inquiry) dependency() mesh.ExplainedStep {
	name := i.out.To
	if i.gateway != "" {
		return i.exposed()
	}
	if slices.Contains(i.caller.Dependencies, name) {
		return because(ok("%q declares that it calls %q.", i.caller.Name, name), declaration(i.caller, "dependencies: %s", list(i.caller.Dependencies)))
	}
	mend := command("heddle drift --declare", string(i.caller.Name), string(name))
	return because(stops(i.sees(), mend, "%q has not declared that it calls %q.", i.caller.Name, name), declaration(i.caller, "dependencies: %s", list(i.caller.Dependencies)))
}

// exposed is the same of a gateway: a route has to lead from it to the service.
func (i *inquiry) exposed() mesh.ExplainedStep {
	var there, elsewhere []mesh.ExplainedEvidence
	for _, r := range i.View.RoutesTo(i.out.To) {
		e := mesh.ExplainedEvidence{Object: "route/" + string(r.Name), Revision: r.Meta.Revision, Author: r.Meta.Author, Says: "hosts: " + strings.Join(r.Hosts, ", ")}
		if r.ServedBy(i.gateway) {
			there = append(there, e)
		} else {
			elsewhere = append(elsewhere, e)
		}
	}
	switch {
	case len(there) > 0:
		return because(ok("gateway %q serves %s to %q.", i.gateway, plural(len(there), "route"), i.out.To), there...)
	case len(elsewhere) > 0:
		return because(stops(i.sees(), command("heddle get route", strings.TrimPrefix(elsewhere[0].Object, "route/"), "-o", "yaml"),
			"routes lead to %q, but gateway %q serves none of them: add it to the route's gateways.", i.out.To, i.gateway), elsewhere...)
	}
	return stops(i.sees(), "heddle apply -f route.yaml", "no route leads to %q: declare one with a host and the backend %q.", i.out.To, i.out.To)
}

// address says how the caller has to ask, and whether it does.
func (i *inquiry) address() mesh.ExplainedStep {
	r, to := i.out.Request, i.out.To
	if i.way.listener == "" && i.proxyless() {
		return i.notResolved()
	}
	if i.way.listener == "" {
		return i.notListening()
	}
	at := i.sent.evidence(translate.TypeListener, i.way.listener, "listens at "+i.way.address)
	if i.proxyless() {
		at.Says = ""
		return because(ok("the caller is a gRPC library, and asks for xds:///%s.", to), at)
	}
	if i.tcp() {
		return because(ok("%q speaks tcp and is called at its own port on the sidecar, %s.", to, i.way.address), at)
	}
	if i.gateway != "" {
		return because(ok("the gateway is asked for %s://%s%s at %s.", r.Scheme, r.Host, r.Path, i.way.address), at)
	}
	if i.way.host.GetName() != string(to) {
		if a, is := i.direct(); is {
			return because(stops(a, command("curl -H", "Host: "+string(to), "http://"+i.way.address+r.Path), "the host %q is not %q: ask for %s or %s.mesh.", r.Host, to, to, to), at)
		}
		return because(stops(i.elsewhere(mesh.ServiceName(i.way.host.GetName())), command("heddle explain", i.out.From, i.way.host.GetName(), "--host", r.Host),
			"a request for the host %q goes to %q instead of %q.", r.Host, i.way.host.GetName(), to), at)
	}
	if a, is := i.direct(); is { // such as a TCP service that is asked for by name
		return because(stops(a, command("heddle explain", i.out.From, string(to)), "%q speaks %s: it is called at its own port on the sidecar, and no host name chooses it.", to, i.callee.Protocol), at)
	}
	step := because(ok("%q speaks %s and is asked for by the host %s at %s.", to, i.callee.Protocol, r.Host, i.way.address), at)
	if own := "own." + string(to) + "." + i.scope.Name(); i.callee.OwnPort() != 0 {
		if l, _, there := find[*listenerv3.Listener](i.sent, translate.TypeListener, own); there {
			step.Text = strings.TrimSuffix(step.Text, ".") + ", or at " + addressOf(l.GetAddress()) + " by any host."
		}
	}
	return step
}

// notResolved says why a gRPC library finds nothing by the service's name.
func (i *inquiry) notResolved() mesh.ExplainedStep {
	why := fmt.Sprintf("a gRPC library finds nothing at xds:///%s.", i.out.To)
	for _, p := range i.sent.problems {
		if strings.Contains(p.Message, fmt.Sprintf("clients cannot call %q", i.out.To)) {
			why = p.Message + "."
		}
	}
	return stops(i.sees(), i.besides(), "%s", why)
}

// approves is the command by which the callee's owner lets the caller in.
func (i *inquiry) approves() string {
	return command("heddle approve", string(i.callee.Name), i.out.From)
}

// besides is the command that has an Envoy do what a gRPC library does not.
func (i *inquiry) besides() string { return command("heddle proxy --service", i.out.From) }

// notListening says why the caller's proxy does not listen where it would be asked.
func (i *inquiry) notListening() mesh.ExplainedStep {
	why := "its proxy does not listen where it would be asked."
	if i.gateway != "" {
		why = fmt.Sprintf("the gateway does not listen for %s.", i.out.Request.Scheme)
	}
	for _, p := range i.sent.problems {
		if strings.Contains(p.Message, "is left out") {
			why = p.Message + "."
			if strings.Contains(p.Message, strings.TrimPrefix(string(i.out.To), "own.")) {
				break
			}
		}
	}
	return stops(closed("the connection is refused"), command("heddle status", i.out.From), "%s", why)
}

// approval asks the callee's owner.
func (i *inquiry) approval() mesh.ExplainedStep {
	access := &i.callee.Access
	if access.Callers != mesh.ApprovedCallers {
		return because(ok("%q lets in whoever has declared it.", i.callee.Name), declaration(i.callee, "access.callers: open"))
	}
	says := declaration(i.callee, "access.approved: %s", strings.Join(access.Approved, ", "))
	if access.Admits(i.out.From) {
		return because(ok("%s has approved %q.", i.callee.Owner, i.out.From), says)
	}
	mend := i.approves()
	text := fmt.Sprintf("%q takes approved callers only, and its owner, %s, has not approved %q", i.callee.Name, i.callee.Owner, i.out.From)
	if access.Refuses(i.out.From) {
		says = declaration(i.callee, "access.refused: %s", i.out.From)
		text = fmt.Sprintf("%q takes approved callers only, and %q is refused by the owner, %s, who alone can mend that", i.callee.Name, i.out.From, i.callee.Owner)
	}
	// The AuthZ service refuses it before anything else is looked at.
	if i.asks() && !i.pushes() && !i.tcp() && i.inMesh() && i.enforced() && i.askable() {
		sees := answer(403, "unapproved", "")
		if i.gateway != "" {
			sees.Reason = "not_routed" // strangers are told nothing of the mesh
		}
		return because(stops(sees, mend, "%s.", text), says)
	}
	if !i.enforced() {
		text += fmt.Sprintf("; access.enforcement %s lets it pass", access.Enforcement)
	}
	return because(warns(mend, "%s.", text), says)
}

// sees is what the caller's proxy answers, or else what happens to the request.
func (i *inquiry) sees() mesh.ExplainedAnswer {
	switch a, is := i.direct(); {
	case is:
		return a
	case i.way.listener == "" && i.proxyless():
		return closed("the call fails: the library finds nothing by that name (UNAVAILABLE)")
	case i.way.listener == "":
		return closed("the connection is refused: no listener is there for it")
	case i.way.host == nil || i.way.route == nil:
		return answer(404, "", "")
	}
	return i.elsewhere(i.way.targets[0].service())
}

// elsewhere is what comes of a request that goes to another service.
func (i *inquiry) elsewhere(other mesh.ServiceName) mesh.ExplainedAnswer {
	switch other {
	case i.asked.To, "gateway.unavailable": // the cluster of nobody
		return answer(503, "", "")
	case "gateway.no-backend":
		return answer(500, "refused", "")
	}
	q := i.asked
	q.To = other
	then := newInquiry(i.Mesh, q)
	if then.ask(); then.out.Stopped != "" {
		return answer(then.out.Status, then.out.Reason, fmt.Sprintf("for it goes to %q", other))
	}
	return answer(0, "", fmt.Sprintf("the answer of %q", other))
}

// direct is what the caller's proxy answers by itself.
func (i *inquiry) direct() (mesh.ExplainedAnswer, bool) {
	r := i.way.route
	switch action := r.GetAction().(type) {
	case *routev3.Route_DirectResponse:
		a := answer(int(action.DirectResponse.GetStatus()), "", "")
		for _, header := range r.GetResponseHeadersToAdd() {
			if header.GetHeader().GetKey() == "x-heddle-reason" {
				a.Reason = header.GetHeader().GetValue()
			}
		}
		return a, true
	case *routev3.Route_Redirect:
		code := map[routev3.RedirectAction_RedirectResponseCode]int{
			routev3.RedirectAction_MOVED_PERMANENTLY: 301, routev3.RedirectAction_FOUND: 302, routev3.RedirectAction_SEE_OTHER: 303,
			routev3.RedirectAction_TEMPORARY_REDIRECT: 307, routev3.RedirectAction_PERMANENT_REDIRECT: 308,
		}[action.Redirect.GetResponseCode()]
		return answer(code, "", "a redirect"), true
	}
	return mesh.ExplainedAnswer{}, false
}
