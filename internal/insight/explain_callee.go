package insight

import (
	"fmt"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/translate"
)

// askable says whether an AuthZ service is announced and alive.
func (i *inquiry) askable() bool {
	for _, one := range i.View.Authorizers() {
		if !one.Stale {
			return true
		}
	}
	return false
}

// token is about the token that a request has to bring.
func (i *inquiry) token() mesh.ExplainedStep {
	switch {
	case i.tcp():
		return ok("connections bring no tokens.")
	case !i.inMesh():
		return ok("%q is outside the mesh, where a token is of no use.", i.callee.Name)
	case i.Trust.Roots == nil:
		return ok("this mesh has no identities, and so no tokens.")
	case i.proxyless():
		return ok("a gRPC library asks for no token: the call goes without one.")
	case i.View.TokenKeys() == nil:
		return ok("no AuthZ service publishes keys: calls need no token.")
	case !i.secure():
		return ok("the caller's proxy has no identity: it calls in plain text and without a token.")
	}
	if step, is := i.revoked(); is {
		return step
	}
	keys := mesh.ExplainedEvidence{Object: "the AuthZ service's keys", Revision: i.View.TokenKeys().Meta.Revision, Says: "issuer " + i.View.TokenKeys().Issuer}
	lets := i.callee.Access.Admits(i.out.From)
	switch {
	case i.pushes() && !lets && i.enforced():
		return because(stops(answer(401, "no-token", ""), i.approves(), "the AuthZ service hands the caller no token for %q, whose owner has not approved it.", i.callee.Name), keys)
	case i.pushes() && !i.askable():
		return because(doubts("heddle keys list", "no AuthZ service is there to hand over tokens: those that were handed over are good until they end."), keys)
	case !i.askable():
		return because(stops(answer(503, "no-authorizer", ""), "heddle keys list", "calls need a token, and no AuthZ service is announced that could be asked: start one (heddle authz, or heddle server --authz-listen)."), keys)
	case !lets:
		return because(warns(i.approves(), "the AuthZ service gives no token, and the request goes on without one, for access.enforcement is %s.", i.callee.Access.Enforcement), keys)
	}
	for _, one := range i.View.Authorizers() {
		keys.Says += fmt.Sprintf(", asked at %s:%d", one.Address, one.Port)
	}
	return because(ok("the AuthZ service gives a token for %q.", i.callee.Name), keys)
}

// revoked tells of certificates that are no proof any more.
func (i *inquiry) revoked() (mesh.ExplainedStep, bool) {
	if i.Revoked == nil {
		return mesh.ExplainedStep{}, false
	}
	identity := i.out.From
	if i.gateway == "" {
		identity = "service/" + identity
	}
	until, is := i.Revoked(identity)
	if !is || len(i.proxies) > 0 { // the streams of those that are revoked are ended
		return mesh.ExplainedStep{}, false
	}
	return because(doubts(i.joins(), "the certificates of %s that joined until %s are revoked: those get no token (401 no_identity), and have to join anew.", identity, until.UTC().Format(time.RFC3339)),
		mesh.ExplainedEvidence{Object: "revocation of " + identity}), true
}

// sidecars looks at the proxies beside the instances.
func (i *inquiry) sidecars() mesh.ExplainedStep {
	name := i.callee.Name
	if !i.inMesh() {
		return ok("%q is outside the mesh: its instances have no sidecars.", name)
	}
	connected := i.calleeProxies()
	without := 0
	for _, p := range connected {
		if !p.Scope.Proxy.Identity {
			without++
		}
	}
	if i.strict() && len(connected) > 0 && without == len(connected) {
		return stops(i.unconnected("connect failure"), mesh.Identity{Kind: mesh.ServiceIdentity, Name: name}.JoinCommand(),
			"%q takes nothing but mutual TLS, and its sidecars have no identity: they take no calls at all.", name)
	}
	if len(connected) == 0 {
		return unknown("no sidecar of %q is connected to this server: its instances are registered without one, or it is with another server.", name)
	}
	evidence, late, _ := i.states(connected)
	if late > 0 {
		return because(doubts(command("heddle status", string(name)), "%s of %q %s connected, and %d %s behind: whom they let in may be older than what is declared.", plural(len(connected), "sidecar"), name, isOrAre(len(connected)), late, isOrAre(late)), evidence...)
	}
	return because(ok("%s of %q %s connected and up to date.", plural(len(connected), "sidecar"), name, isOrAre(len(connected))), evidence...)
}

func (i *inquiry) calleeProxies() []*Proxy {
	var out []*Proxy
	for _, p := range i.connected(i.callee.Name, false) {
		if p.Scope.Proxy.Profile == "" && p.Scope.Proxy.AppPort != 0 {
			out = append(out, &p)
		}
	}
	return out
}

// unconnected is what the caller sees where no connection comes about.
func (i *inquiry) unconnected(why string) mesh.ExplainedAnswer {
	switch {
	case i.tcp():
		return closed("the connection is closed at once")
	case i.gateway != "" && why == "connect failure":
		return answer(503, "no-instance", "")
	}
	return answer(503, "", "upstream connect error")
}

// mutualTLS asks whether both sides can prove to each other who they are.
func (i *inquiry) mutualTLS() mesh.ExplainedStep {
	name, strict := i.callee.Name, i.strict()
	mode := "permissive"
	if strict {
		mode = "strict"
	}
	says := declaration(i.callee, "mutual TLS is %s", mode)
	healthy, able := 0, 0
	for _, t := range i.ours() {
		healthy, able = healthy+t.healthy, able+t.mtls
	}
	join := mesh.Identity{Kind: mesh.ServiceIdentity, Name: name}.JoinCommand()
	switch {
	case !i.inMesh():
		return ok("%q is outside the mesh: it is called as its traffic.tls says.", name)
	case i.Trust.Roots == nil && strict:
		return because(warns("heddle server --tls-listen ADDRESS", "%q is strict, but this mesh has no identities: its instances have no sidecar that would refuse the call.", name), says)
	case i.Trust.Roots == nil:
		return ok("this mesh has no identities: calls are in plain text.")
	case i.proxyless() && strict && able > 0:
		return because(stops(i.unconnected("connection termination"), i.besides(), "%q takes nothing but mutual TLS, and a gRPC library has no certificate of this mesh.", name), says)
	case i.proxyless():
		return because(warns(i.besides(), "a gRPC library has no certificate of this mesh: the call is in plain text, and nobody checks who calls."), says)
	case !i.secure() && strict && able > 0:
		return because(stops(i.unconnected("connection termination"), i.joins(), "%q takes nothing but mutual TLS, and the caller's proxy has no identity.", name), says)
	case !i.secure():
		return because(warns(i.joins(), "the caller's proxy has no identity: the call is in plain text, and nobody checks who calls."), says)
	case strict && able == 0:
		return because(stops(i.unconnected("connect failure"), join, "%q is called by mutual TLS alone, and no instance of it takes that: their sidecars have no identity.", name), says)
	case strict && able < healthy:
		return because(doubts(join, "%d of %d instances of %q take no mutual TLS: calls to those fail, and are tried again at others.", healthy-able, healthy, name), says)
	case able == 0:
		return because(warns(join, "no instance of %q takes mutual TLS yet: the call is in plain text, and nobody checks who calls.", name), says)
	}
	return because(ok("both sides have certificates of this mesh; %q is %s.", name, mode), says)
}

// authorization asks the filters of the callee's sidecar.
func (i *inquiry) authorization() mesh.ExplainedStep {
	name := i.callee.Name
	able := 0
	for _, t := range i.ours() {
		able += t.mtls
	}
	if !i.inMesh() || !i.secure() || able == 0 {
		return ok("nothing checks the call at the called side.")
	}
	scope := translate.Scope{Service: name, Proxy: mesh.Proxy{Service: name, Identity: true, AppPort: 1}}
	for _, p := range i.calleeProxies() {
		if p.Scope.Proxy.Identity {
			scope = p.Scope
		}
	}
	i.inbound = index(translate.Build(i.View, scope, i.Trust))
	filter := "callers." + string(name)
	id := "spiffe://" + i.Trust.Domain + "/service/" + i.out.From
	if i.gateway != "" {
		id = "spiffe://" + i.Trust.Domain + "/" + i.out.From
	}
	let, enforced := admits(i.inbound, filter, id)
	at := i.inbound.evidence(translate.TypeExtension, filter, "lets in "+id)
	if let {
		return because(ok("the sidecars of %q let %s in.", name, i.out.From), at)
	}
	at.Says = "does not let in " + id
	mend := i.approves()
	if !enforced {
		return because(warns(mend, "the sidecars of %q would refuse %s, and let the call pass as access.enforcement says.", name, i.out.From), at)
	}
	sees := answer(403, "caller", "")
	if i.tcp() {
		sees = closed("the connection is closed at once")
	}
	return because(stops(sees, mend, "the sidecars of %q refuse %s, whom its owner has not approved.", name, i.out.From), at)
}

// joins is the command by which the caller gets an identity.
func (i *inquiry) joins() string {
	if i.gateway != "" {
		return mesh.Identity{Kind: mesh.GatewayIdentity, Name: i.gateway}.JoinCommand()
	}
	return mesh.Identity{Kind: mesh.ServiceIdentity, Name: mesh.ServiceName(i.out.From)}.JoinCommand()
}
