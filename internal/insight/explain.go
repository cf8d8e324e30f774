package insight

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/translate"
)

// Explain says whether a call arrives, and if not, what stops it, what its caller
// sees and what mends it. That services are not declared is an answer; an instance of
// the caller that nobody knows is an error.
func Explain(m Mesh, q Question) (mesh.Explanation, error) {
	i := newInquiry(m, q)
	if err := i.known(); err != nil {
		return mesh.Explanation{}, err
	}
	i.ask()
	return i.out, nil
}

// ask goes through the steps.
func (i *inquiry) ask() {
	steps := []step{
		{"caller", "Who calls?", i.callerDeclared},
		{"callee", "Is the called service declared?", i.calleeDeclared},
		{"dependency", "Is the call declared?", i.dependency},
		{"address", "How is it addressed?", i.address},
		{"approval", "Has its owner approved the caller?", i.approval},
		{"configuration", "Have the caller's proxies their configuration?", i.configuration},
		{"route", "Which route matches?", i.routed},
		{"token", "Does the caller get a token?", i.token},
		{"endpoints", "Are there healthy instances?", i.endpoints},
		{"sidecars", "Have the instances their sidecars?", i.sidecars},
		{"mtls", "Do both sides know each other?", i.mutualTLS},
		{"authorization", "Does the called sidecar let it in?", i.authorization},
		{"calls", "What became of such calls lately?", i.calls},
	}
	if i.pushes() { // such a token is put into requests once an instance is chosen
		steps[7], steps[8] = steps[8], steps[7]
	}
	out := &i.out
	for _, one := range steps {
		made := mesh.ExplainedStep{Status: mesh.StepNotReached}
		if out.Stopped == "" {
			made = one.look()
		}
		made.ID, made.Title = one.id, one.title
		if made.Status == mesh.StepStops {
			out.Stopped, out.Mend, out.Verdict = one.id, made.Mend, mesh.CallStopped
			out.Status, out.Reason = made.Sees.Status, made.Sees.Reason
			out.Some = nil
			i.overGRPC(made.Sees)
		}
		if made.Doubt {
			out.Verdict = mesh.CallUncertain
		}
		out.Steps = append(out.Steps, made)
	}
	i.summarize()
}

// step is one question of those that are asked in turn.
type step struct {
	id, title string
	look      func() mesh.ExplainedStep
}

// inquiry is one explanation in the making.
type inquiry struct {
	Mesh
	asked Question
	out   mesh.Explanation

	caller, callee *mesh.Service // nil: not declared
	gateway        mesh.ServiceName
	instance       mesh.InstanceID // of the caller, if one was asked for
	proxies        []*Proxy        // the caller's
	scope          translate.Scope // of one of them, or else of one with the default settings
	sent           *resources      // what that scope is sent
	way            way             // the request's, through these
	inbound        *resources      // what the callee's sidecars are sent
}

func newInquiry(m Mesh, q Question) *inquiry {
	i := &inquiry{Mesh: m, asked: q}
	i.out = mesh.Explanation{From: q.From, To: q.To, Request: q.Request, Verdict: mesh.CallAllowed, Revision: m.View.Revision()}
	i.callee, _ = m.View.Service(q.To)
	name, instance, _ := strings.Cut(q.From, "/")
	if gateway, is := strings.CutPrefix(q.From, mesh.GatewayCaller("")); is {
		name, instance, _ = strings.Cut(gateway, "/")
		i.gateway, i.out.From = mesh.ServiceName(name), mesh.GatewayCaller(mesh.ServiceName(name))
	} else {
		i.caller, _ = m.View.Service(mesh.ServiceName(name))
		i.out.From = name
	}
	i.instance = mesh.InstanceID(instance)
	i.findProxies(mesh.ServiceName(name))
	built, problems := translate.Build(m.View, i.scope, m.Trust)
	i.sent = index(built, problems)
	i.defaults()
	i.way = i.find()
	return i
}

// findProxies finds the caller's proxies, and the one that the answer is about: an
// Envoy rather than a gRPC library, and one without an identity if there is any.
// The others of its kind are told of with it.
func (i *inquiry) findProxies(name mesh.ServiceName) {
	atEdge := i.gateway != ""
	for _, p := range i.connected(name, atEdge) {
		if i.instance == "" || p.Node == string(name)+"/"+string(i.instance) {
			i.proxies = append(i.proxies, &p)
		}
	}
	i.scope = translate.Scope{Service: name, Proxy: mesh.Proxy{Service: name, Identity: i.Trust.Roots != nil}}
	if atEdge {
		i.scope.Proxy.Profile, i.scope.Proxy.Gateway = mesh.GatewayProfile, &mesh.GatewayProxy{HTTPPort: 80}
	}
	for n, p := range i.proxies {
		better := !p.Scope.Proxy.Identity && i.scope.Proxy.Identity
		if library := isProxyless(p.Scope); library != i.proxyless() {
			better = !library
		}
		if n == 0 || better {
			i.scope = p.Scope
		}
	}
	i.proxies = slices.DeleteFunc(i.proxies, func(p *Proxy) bool { return isProxyless(p.Scope) != i.proxyless() })
}

func isGateway(s translate.Scope) bool { return s.Proxy.Profile == mesh.GatewayProfile }

func isProxyless(s translate.Scope) bool { return s.Proxy.Profile == mesh.Proxyless }

// proxyless says whether the caller is a gRPC library, which does less than an Envoy.
func (i *inquiry) proxyless() bool { return isProxyless(i.scope) }

// defaults fills in what the question leaves out.
func (i *inquiry) defaults() {
	r := &i.out.Request
	if i.callee != nil {
		r.Protocol = i.callee.Protocol
	}
	if i.tcp() {
		return
	}
	method := "GET"
	if r.Protocol == mesh.GRPC {
		method = "POST"
	}
	r.Method = cmp.Or(strings.ToUpper(r.Method), method)
	if !strings.HasPrefix(r.Path, "/") {
		r.Path = "/" + r.Path
	}
	if i.gateway == "" {
		r.Host = cmp.Or(r.Host, string(i.out.To))
		return
	}
	if r.Scheme == "" {
		r.Scheme = "http"
		if i.scope.Proxy.Gateway != nil && i.scope.Proxy.Gateway.HTTPSPort != 0 {
			r.Scheme = "https"
		}
	}
	for _, route := range i.View.RoutesTo(i.out.To) {
		if r.Host == "" && route.ServedBy(i.gateway) && len(route.Hosts) > 0 {
			r.Host = strings.Replace(mesh.PlainHost(route.Hosts[0]), "*", "www", 1)
			if p := route.Match.Path; p != nil && r.Path == "/" {
				r.Path = cmp.Or(p.Exact, p.Prefix, "/")
			}
		}
	}
}

// secure says whether the caller's proxy has an identity that others know.
func (i *inquiry) secure() bool {
	return i.Trust.Roots != nil && i.scope.Proxy.Identity && !i.proxyless()
}

// asks says whether calls need a token that the caller gets.
func (i *inquiry) asks() bool { return i.secure() && i.View.TokenKeys() != nil }

// pushes says whether the caller's proxy is handed its tokens.
func (i *inquiry) pushes() bool { return i.asks() && i.scope.Proxy.TokenDelivery == mesh.PushTokens }

// inMesh says whether the callee's instances are behind sidecars.
func (i *inquiry) inMesh() bool {
	byDNS := i.callee.Endpoints.Kubernetes != nil && i.callee.Resolved() != nil
	return (i.callee.Endpoints.Registered() || byDNS && i.strict()) && i.callee.Traffic.TLS == nil
}

func (i *inquiry) strict() bool {
	return i.callee.Access.MTLS == mesh.Strict || i.callee.Access.MTLS == "" && i.Trust.MTLS == mesh.Strict
}

// enforced says whether what is not allowed is refused.
func (i *inquiry) enforced() bool {
	return i.callee.Access.Enforcement == "" || i.callee.Access.Enforcement == mesh.Deny
}

// tcp says whether the call is a connection rather than a request, as it is unless
// a host is asked for.
func (i *inquiry) tcp() bool {
	return i.out.Request.Protocol == mesh.TCP && i.gateway == "" && i.out.Request.Host == ""
}

func (i *inquiry) summarize() {
	out := &i.out
	first := func(is func(s *mesh.ExplainedStep) bool) string {
		for n := range out.Steps {
			if is(&out.Steps[n]) {
				return out.Steps[n].Text
			}
		}
		return ""
	}
	switch out.Verdict {
	case mesh.CallStopped:
		out.Summary = fmt.Sprintf("%s cannot call %s: %s", out.From, out.To, first(func(s *mesh.ExplainedStep) bool { return s.ID == out.Stopped }))
		return
	case mesh.CallUncertain:
		out.Summary = fmt.Sprintf("%s may call %s, but the call is not known to arrive: %s", out.From, out.To, first(func(s *mesh.ExplainedStep) bool { return s.Doubt }))
		return
	}
	out.Summary = fmt.Sprintf("%s can call %s", out.From, out.To)
	if but := first(func(s *mesh.ExplainedStep) bool { return s.Status == mesh.StepWarns }); but != "" {
		out.Summary += ", but: " + but
		return
	}
	out.Summary += "."
}

// The ways to make a step's outcome.

func ok(format string, args ...any) mesh.ExplainedStep {
	return mesh.ExplainedStep{Status: mesh.StepOK, Text: fmt.Sprintf(format, args...)}
}

func warns(mend, format string, args ...any) mesh.ExplainedStep {
	return mesh.ExplainedStep{Status: mesh.StepWarns, Mend: mend, Text: fmt.Sprintf(format, args...)}
}

// doubts is a warning for which the call is not known to arrive.
func doubts(mend, format string, args ...any) mesh.ExplainedStep {
	step := warns(mend, format, args...)
	step.Doubt = true
	return step
}

func unknown(format string, args ...any) mesh.ExplainedStep {
	return mesh.ExplainedStep{Status: mesh.StepUnknown, Doubt: true, Text: fmt.Sprintf(format, args...)}
}

// stops is a step that stops the call; the answer is what the caller sees.
func stops(sees mesh.ExplainedAnswer, mend, format string, args ...any) mesh.ExplainedStep {
	return mesh.ExplainedStep{Status: mesh.StepStops, Mend: mend, Text: fmt.Sprintf(format, args...), Sees: &sees}
}

func answer(status int, reason, text string) mesh.ExplainedAnswer {
	return mesh.ExplainedAnswer{Status: status, Reason: reason, Text: text}
}

// closed is what callers see where no HTTP answers.
func closed(text string) mesh.ExplainedAnswer { return mesh.ExplainedAnswer{Text: text} }

func because(step mesh.ExplainedStep, evidence ...mesh.ExplainedEvidence) mesh.ExplainedStep {
	step.Evidence = append(step.Evidence, evidence...)
	return step
}

func declaration(s *mesh.Service, format string, args ...any) mesh.ExplainedEvidence {
	return mesh.ExplainedEvidence{Object: "service/" + string(s.Name), Revision: s.Meta.Revision, Author: s.Meta.Author, Says: fmt.Sprintf(format, args...)}
}
