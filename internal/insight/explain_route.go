package insight

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/translate"
)

// routed says which route takes the request, and where it leads.
func (i *inquiry) routed() mesh.ExplainedStep {
	if i.tcp() {
		return ok("connections have no routes: they go to the cluster %s.", i.way.targets[0].name)
	}
	at := i.sent.evidence(translate.TypeRoute, i.way.routes, "")
	if i.way.host == nil || i.way.route == nil {
		return because(stops(answer(404, "", ""), command("heddle status", i.out.From), "no route of the caller's proxy matches."), at)
	}
	if a, is := i.direct(); is {
		return because(i.answered(a), at)
	}
	at.Says = fmt.Sprintf("virtual host %s: %s", i.way.host.GetName(), matchWords(i.way.route.GetMatch()))
	share := i.ours()
	if len(share) == 0 {
		return because(stops(i.elsewhere(i.way.targets[0].service()), "heddle get routes -o yaml", "the route that matches, %q, sends requests to %s.", i.way.route.GetName(), i.targetWords(i.way.targets)), at)
	}
	action := i.way.route.GetRoute()
	text := fmt.Sprintf("%s matches and sends requests to %s; %s, %s", matchWords(i.way.route.GetMatch()), i.targetWords(i.way.targets), timeoutWords(action), retryWords(action))
	if r, is := i.View.Route(mesh.RouteName(i.way.route.GetName())); is && i.gateway != "" {
		if step, is := i.users(r, text); is {
			return because(step, at)
		}
	}
	return because(ok("%s.", text), at)
}

// answered is a route that a gateway answers itself.
func (i *inquiry) answered(a mesh.ExplainedAnswer) mesh.ExplainedStep {
	r := i.out.Request
	switch {
	case a.Status/100 == 3 && r.Scheme == "http":
		return stops(a, i.again()+" --scheme https", "the gateway sends the client on, to HTTPS or as the route's redirect says.")
	case a.Reason == "no-route":
		return stops(a, "heddle get routes -o yaml", "no route of gateway %q matches %s %s%s.", i.gateway, r.Method, r.Host, r.Path)
	case a.Reason == "pending":
		return stops(a, "heddle status", "nothing that can be called is behind the route that matches, %q.", i.way.route.GetName())
	}
	return stops(a, "heddle get routes -o yaml", "the gateway answers the request itself, with %d.", a.Status)
}

// users is about routes that let in only those who prove who they are.
func (i *inquiry) users(r *mesh.Route, text string) (mesh.ExplainedStep, bool) {
	if r.Auth == nil {
		return mesh.ExplainedStep{}, false
	}
	asked := requestOf(i.out.Request, true)
	for _, name := range []string{"authorization", "cf-access-jwt-assertion", "cookie"} {
		if _, has := asked.value(name); has {
			return unknown("%s; the route asks users to prove who they are by %q, and whether this one does is known to the AuthZ service alone.", text, r.Auth.Provider), true
		}
	}
	return stops(answer(401, "no_token", ""), i.again()+" --header 'Cf-Access-Jwt-Assertion=TOKEN' # of an OIDC issuer: --header 'Authorization=Bearer TOKEN'",
		"route %q asks users to prove who they are by %q, and the request brings no proof: Cf-Access-Jwt-Assertion, or of an OIDC issuer Authorization.", r.Name, r.Auth.Provider), true
}

// again is the command that asks the same once more.
func (i *inquiry) again() string {
	return command("heddle explain", i.out.From, string(i.out.To), "--host", i.out.Request.Host, "--path", i.out.Request.Path)
}

// ours are the targets that belong to the callee.
func (i *inquiry) ours() []target {
	return slices.DeleteFunc(slices.Clone(i.way.targets), func(t target) bool { return t.service() != i.out.To })
}

func (i *inquiry) targetWords(targets []target) string {
	total := uint32(0)
	for _, t := range targets {
		total += t.weight
	}
	var words []string
	for _, t := range targets {
		word := "cluster " + t.name
		if t.subset != nil {
			word = i.subsetName(t) + " of " + word
		}
		if len(targets) > 1 && total > 0 {
			word = fmt.Sprintf("%.4g %% to %s", 100*float64(t.weight)/float64(total), word)
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

// subsetName is what the declaration calls the labels that a target asks for.
func (i *inquiry) subsetName(t target) string {
	if s, is := i.View.Service(t.service()); is {
		for _, subset := range s.Subsets {
			if maps.Equal(subset.Labels, t.subset) {
				return "subset " + subset.Name
			}
		}
	}
	return "a subset"
}

func matchWords(m *routev3.RouteMatch) string {
	path := "every path"
	switch by := m.GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Prefix:
		if by.Prefix != "/" {
			path = "the prefix " + by.Prefix
		}
	case *routev3.RouteMatch_PathSeparatedPrefix:
		path = "the prefix " + by.PathSeparatedPrefix
	case *routev3.RouteMatch_Path:
		path = "the path " + by.Path
	case *routev3.RouteMatch_SafeRegex:
		path = "paths like " + by.SafeRegex.GetRegex()
	}
	var more []string
	for _, h := range m.GetHeaders() {
		word := h.GetName()
		switch text := h.GetStringMatch(); {
		case text.GetExact() != "":
			word += " = " + text.GetExact()
		case text.GetPrefix() != "":
			word += " = " + text.GetPrefix() + "…"
		case text.GetSafeRegex() != nil:
			word += " like " + text.GetSafeRegex().GetRegex()
		}
		if h.GetInvertMatch() {
			word = "not " + word
		}
		more = append(more, word)
	}
	for _, q := range m.GetQueryParameters() {
		word := "the parameter " + q.GetName()
		switch text := q.GetStringMatch(); {
		case text.GetExact() != "":
			word += " = " + text.GetExact()
		case text.GetPrefix() != "":
			word += " = " + text.GetPrefix() + "…"
		case text.GetSafeRegex() != nil:
			word += " like " + text.GetSafeRegex().GetRegex()
		}
		more = append(more, word)
	}
	if len(more) > 0 {
		path += " with " + strings.Join(more, " and ")
	}
	return "the route for " + path
}

func timeoutWords(a *routev3.RouteAction) string {
	if d := a.GetTimeout().AsDuration(); d > 0 {
		return "timeout " + mesh.Duration(d).String()
	}
	return "no timeout"
}

func retryWords(a *routev3.RouteAction) string {
	p := a.GetRetryPolicy()
	if p == nil {
		return "no retries"
	}
	times := "up to 2 retries"
	if n := p.GetNumRetries().GetValue(); n == 1 {
		times = "up to 1 retry"
	} else if n != 2 {
		times = fmt.Sprintf("up to %d retries", n)
	}
	return times + " on " + strings.ReplaceAll(p.GetRetryOn(), ",", ", ")
}
