package crd

import (
	"fmt"
	"slices"
	"strings"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

func rule(expression, message string) apiextensions.ValidationRule {
	return apiextensions.ValidationRule{Rule: expression, Message: message}
}

// at is a rule about one field below the object that it looks at.
func at(field, expression, message string) apiextensions.ValidationRule {
	return apiextensions.ValidationRule{Rule: expression, Message: message, FieldPath: "." + field}
}

func rules(all ...apiextensions.ValidationRule) apiextensions.ValidationRules { return all }

// bytesAtMost counts as the model does, where MaxLength counts characters.
func bytesAtMost(most int) apiextensions.ValidationRule {
	return rule(fmt.Sprintf("bytes(self).size() <= %d", most), fmt.Sprintf("has more than %d bytes", most))
}

// ip says whether an expression is an IP address. Unlike Kubernetes, the model takes
// IPv4 addresses that are written as IPv6.
func ip(expression string) string {
	return fmt.Sprintf("(isIP(%[1]s) || %[1]s.matches('^::[fF]{4}:[0-9.]+$') && isIP(%[1]s.substring(7)))", expression)
}

func host(expression string) string {
	return fmt.Sprintf("(%s || %s)", ip(expression), name(expression))
}

// name says whether an expression is a host name. One whose last part is a number is a
// mistyped address.
func name(expression string) string {
	return fmt.Sprintf(`(%[1]s.matches('^%[2]s$') && !%[1]s.matches('(^|[.])[0-9]+[.]?$'))`, expression, strings.ReplaceAll(hostPattern, `\`, `\\`))
}

func isIP(otherwise string) apiextensions.ValidationRule {
	return rule(ip("self"), "is not an IP address; "+otherwise)
}

var (
	isName = rule(name("self"), "is not a host name; for an IP address use endpoints.static")
	isHost = rule(host("self"), "is not an IP address or host name")

	reachable = rule(`!self.matches('^(0[.]0[.]0[.]0|255[.]255[.]255[.]255|2(2[4-9]|3[0-9])[.].*|[fF][fF][0-9a-fA-F]{2}:.*|::[fF]{4}:(0[.]0[.]0[.]0|255[.]255[.]255[.]255|2(2[4-9]|3[0-9])[.].*))$') && !(isIP(self) && ip(self).isUnspecified())`,
		"is no address that callers can connect to")

	isIPPort = rule(fmt.Sprintf(`self.matches('^([0-9.]+|[\\[][0-9a-fA-F:.]+[\\]]):%s$') && (self.startsWith('[') ? (%s && self.contains('::') || isIP(self.substring(1, self.lastIndexOf(']')))) : isIP(self.substring(0, self.lastIndexOf(':'))))`,
		portPattern, mapped(`self.substring(1, self.lastIndexOf(']'))`)), "is not an address with a port, such as 10.0.0.2:53")

	isAuthority = rule(fmt.Sprintf(`self == '' || (self.startsWith('[') ? self.matches('^[\\[][0-9a-fA-F:.]+[\\]](:%[1]s)?$') && isIP(self.substring(1, self.lastIndexOf(']'))) && self.substring(1, self.lastIndexOf(']')).contains(':') : self.matches('^[^:]+(:%[1]s)?$') && (%[2]s))`,
		portPattern, host("self.split(':')[0]")), "is not a host, or a host and a port; an IPv6 address needs brackets")

	isStarredHost = rule(fmt.Sprintf("self.startsWith('*.') ? %s : %s", name("self.substring(2)"), host("self")),
		"is not an IP address or host name, or a host name behind \"*.\"")

	isRouteHost = rule("self == '*' || ("+isStarredHost.Rule+")", isStarredHost.Message+", or \"*\" alone")

	isRegex = rule(`''.matches(self) in [true, false]`, "is not a regular expression (RE2)")

	notOnlyDigits = rule(fmt.Sprintf("!self.matches('^[0-9]+$') || self.matches('^%s$')", portPattern), "is not a port: use 1 to 65535, or a name")

	livePath = rule(`!self.matches('(^|/)[.][.]?(/|$)|[\\\\]|%(4[1-9a-fA-F]|5[0-9aA]|6[1-9a-fA-F]|7[0-9aA]|3[0-9]|2[dD]|2[eE]|5[fF]|7[eE])')`,
		"never matches: write it without \".\" and \"..\" segments, backslashes, and escapes of letters, digits, \"-\", \".\", \"_\" and \"~\"")

	someWeight = rule("self.size() == 0 || self.exists(one, one.weight > 0)", "has only weights of 0: at least one has to be above it")

	differentLocalities = rule("self.all(one, self.exists_one(other, "+
		"(has(one.region) ? one.region : '') == (has(other.region) ? other.region : '') && (has(one.zone) ? one.zone : '') == (has(other.zone) ? other.zone : '')))",
		"names a locality twice")

	differentHosts = rule("self.map(h, h.endsWith('.') ? h.substring(0, h.size() - 1).lowerAscii() : h.lowerAscii()).all(one, self.exists_one(h, one == (h.endsWith('.') ? h.substring(0, h.size() - 1).lowerAscii() : h.lowerAscii())))",
		"names a host twice")

	lastRuleOnly = rule(fmt.Sprintf("!self.exists(r, %s) || (self.exists_one(r, %s) && (%s))",
		matchesAll("r"), matchesAll("r"), matchesAll("self[self.size() - 1]")),
		"has a rule that matches every request before the last, so the rules behind it are never reached: move it to the end")
)

func mapped(expression string) string {
	return fmt.Sprintf("%[1]s.matches('^::[fF]{4}:[0-9.]+$') && isIP(%[1]s.substring(7))", expression)
}

func orEmpty(r apiextensions.ValidationRule) apiextensions.ValidationRule {
	r.Rule = "self == '' || " + r.Rule
	return r
}

// set and given say whether an optional field holds something.
func given(field string) string {
	parts := strings.Split(field, ".")
	var all []string
	for i := 2; i <= len(parts); i++ {
		all = append(all, "has("+strings.Join(parts[:i], ".")+")")
	}
	return strings.Join(all, " && ")
}

func said(field string) string   { return given(field) + " && " + field + " != ''" }
func filled(field string) string { return given(field) + " && " + field + ".size() > 0" }

// matchesAll says whether a rule matches every request.
func matchesAll(r string) string {
	m := r + ".match"
	return fmt.Sprintf("(!has(%[1]s) || (!has(%[1]s.path) || %[2]s && %[1]s.path.prefix.matches('^/+$')) && !(%[3]s) && !(%[4]s) && !(%[5]s))",
		m, "has("+m+".path.prefix)", "has("+m+".methods) && "+m+".methods.size() > 0", "has("+m+".headers) && "+m+".headers.size() > 0", "has("+m+".query) && "+m+".query.size() > 0")
}

// outside says that the endpoints are outside the mesh.
const outside = "has(self.endpoints) && (has(self.endpoints.dns) || has(self.endpoints.static) && self.endpoints.static.size() > 0)"

// resolved says that the endpoints are not registered: they are outside the mesh, or
// sidecars resolve their names.
const resolved = "has(self.endpoints) && (has(self.endpoints.dns) || has(self.endpoints.static) && self.endpoints.static.size() > 0 || " +
	"has(self.endpoints.kubernetes) && has(self.endpoints.kubernetes.discovery) && self.endpoints.kubernetes.discovery == 'dns')"

const asksDNS = "has(self.discovery) && self.discovery == 'dns'"

const rewriteNeedsPath = "needs a match on an exact path or a path prefix, which it replaces"

// replaces says whether the object matches a path that can be rewritten.
const replaces = "has(self.match) && has(self.match.path) && !(has(self.match.path.regex) && self.match.path.regex != '')"

var oneAtMost = rule("("+said("self.exact")+" ? 1 : 0) + ("+said("self.prefix")+" ? 1 : 0) + ("+said("self.regex")+" ? 1 : 0) <= 1",
	"wants at most one of exact, prefix and regex")

// objectRules are about several fields of one object of the model.
var objectRules = map[string]apiextensions.ValidationRules{
	"Service": {
		at("healthCheck.type", "!has(self.healthCheck) || self.healthCheck.type != 'grpc' || self.protocol in ['grpc', 'http2']",
			"grpc needs the protocol grpc or http2: use http or tcp"),
		at("traffic.tls", "!("+given("self.traffic.tls")+") || "+resolved, "is for services outside the mesh: they have dns or static endpoints"),
		at("traffic.tls.sni", "!("+given("self.traffic.tls")+") || !(has(self.endpoints) && "+filled("self.endpoints.static")+" && !has(self.endpoints.dns)) || "+said("self.traffic.tls.sni"),
			"is required with static endpoints: the name in the server's certificate"),
		at("subsets", "!("+filled("self.subsets")+") || !("+resolved+")",
			"cannot be used with dns or static endpoints, which carry no labels: register instances instead"),
		at("routes", "!("+filled("self.routes")+") || self.protocol != 'tcp'",
			"are for http, http2 and grpc: a TCP connection has no requests to match"),
		at("routes", "!has(self.routes) || self.routes.all(r, !has(r.to) || r.to.all(t, !has(t.subset) || t.subset == '' || has(self.subsets) && t.subset in self.subsets.map(s, s.name)))",
			"sends requests to a subset that is not in subsets"),
		at("routes", "!has(self.routes) || self.routes.all(r, !has(r.mirror) || has(self.subsets) && r.mirror.subset in self.subsets.map(s, s.name))",
			"mirrors requests to a subset that is not in subsets"),
	},
	"Access": {
		at("approved", "!("+filled("self.approved")+") || has(self.callers) && self.callers == 'approved'",
			"is for callers: approved; without that, whoever declares the service may call it"),
		at("refused", "!("+filled("self.refused")+") || has(self.callers) && self.callers == 'approved'",
			"is for callers: approved; without that, whoever declares the service may call it"),
	},
	"Endpoints": {
		rule("!has(self.dns) || !("+filled("self.static")+")", "has both dns and static: choose one, or neither for registered instances"),
		rule("!has(self.kubernetes) || !has(self.dns) && !("+filled("self.static")+")", "has kubernetes beside dns or static: choose one"),
		rule("!has(self.vms) || !has(self.dns) && !("+filled("self.static")+") && !(has(self.kubernetes) && has(self.kubernetes.discovery) && self.kubernetes.discovery == 'dns')",
			"has vms beside dns, static or kubernetes with discovery: dns, which callers resolve themselves: choose one"),
	},
	"KubernetesEndpoints": {
		at("clusters", filled("self.clusters")+" || "+asksDNS, "is required: the names of the Kubernetes clusters, as their operators have them (heddle operator --cluster)"),
		at("selector", "!("+filled("self.selector")+") || !("+said("self.service")+") && !("+asksDNS+")", "contradicts service, or discovery: dns"),
		at("port", "!("+said("self.port")+") || !("+asksDNS+") || self.port.matches('^[0-9]+$')", "has to be a number for discovery: dns, which knows no names of ports"),
		at("clusterDomain", "!("+said("self.clusterDomain")+") || "+asksDNS, "is for discovery: dns"),
	},
	"Traffic": {at("noTimeout", "!(has(self.noTimeout) && self.noTimeout && has(self.timeout))", "contradicts timeout: give only one of them")},
	"LoadBalancing": {at("hashHeader", "!("+said("self.hashHeader")+") || has(self.policy) && self.policy in ['ringHash', 'maglev']",
		"is only for the policies ringHash and maglev")},
	"LocalityWeight": {rule(said("self.region")+" || "+said("self.zone"), "names no locality: give a region, a zone or both")},
	"HealthCheck":    {rule("self.type == 'http' || !("+said("self.path")+") && !has(self.expectedStatus)", "path and expectedStatus are only for type http")},
	"PathMatch": {rule("("+said("self.exact")+" ? 1 : 0) + ("+said("self.prefix")+" ? 1 : 0) + ("+said("self.regex")+" ? 1 : 0) == 1",
		"wants exactly one of exact, prefix and regex")},
	"HeaderMatch": {oneAtMost},
	"QueryMatch":  {oneAtMost},
	"RouteRule":   {at("rewrite", "!("+said("self.rewrite")+") || "+replaces, rewriteNeedsPath)},
	"HeaderChange": {rule("(has(self.set) ? self.set.size() : 0) + (has(self.add) ? self.add.size() : 0) + (has(self.remove) ? self.remove.size() : 0) <= 64",
		"names more than 64 headers")},
	"RateLimit": {at("burst", "!has(self.burst) || self.burst == 0 || self.burst >= self.requests", "is less than requests")},
	"Route":     slices.Concat(routeRules, beside("backends", filled("self.backends")), beside("rewrite", said("self.rewrite")), beside("rewriteHost", said("self.rewriteHost")), beside("timeout", "has(self.timeout)"), beside("mirror", "has(self.mirror)")),
}

// beside refuses a field of a route that answers requests itself.
func beside(field, isThere string) apiextensions.ValidationRules {
	return rules(at(field, "!("+answersItself+") || !("+isThere+")", "cannot stand beside redirect or refuse, which answer the request themselves: leave one of them out"))
}

const wholePath = "has(self.wholePath) && self.wholePath"

const answersItself = "has(self.redirect) || has(self.refuse)"

var routeRules = rules(
	at("backends", answersItself+" || "+filled("self.backends"), "is required: at least one service, or else a redirect, or refuse"),
	at("redirect", "!has(self.redirect) || !has(self.refuse)", "cannot stand beside refuse, which answers the request itself: leave one of them out"),
	at("plainHTTP", "!("+filled("self.schemes")+") || !has(self.plainHTTP) || !self.plainHTTP", "contradicts schemes, which names all that it is served over: leave it out"),
	at("rewrite", answersItself+" || !("+said("self.rewrite")+") || "+wholePath+" || "+replaces, rewriteNeedsPath),
	at("redirect.path", "!("+said("self.redirect.path")+") || "+wholePath+" || "+replaces, rewriteNeedsPath),
	at("wholePath", "!("+wholePath+") || "+said("self.rewrite")+" || "+said("self.redirect.path"), "says nothing without rewrite or redirect.path, which it has replace the whole path: leave it out"),
	at("redirect", "!has(self.redirect) || "+said("self.redirect.scheme")+" || "+said("self.redirect.host")+" || has(self.redirect.port) || "+said("self.redirect.path"),
		"leads nowhere else: give it a scheme, a host, a port or a path"),
	at("redirect", "!has(self.redirect) || has(self.redirect.port) || "+elsewhere+" || !("+leadsBack+")",
		"leads back to this route, and again and again: the new address matches it too"),
	at("match.path", "!("+given("self.match.path")+") || !("+deadAtEdge("exact")+" || "+deadAtEdge("prefix")+")",
		"never matches: gateways make doubled slashes one, send clients with escaped slashes to the plain form, and refuse \";\""),
)

func deadAtEdge(field string) string {
	return fmt.Sprintf(`has(self.match.path.%[1]s) && self.match.path.%[1]s.matches('//|;|%%3[bB]|%%2[fF]|%%5[cC]')`, field)
}

// plainHost writes a host in its one form.
func plainHost(h string) string {
	return fmt.Sprintf("(%[1]s.endsWith('.') ? %[1]s.substring(0, %[1]s.size() - 1) : %[1]s).lowerAscii()", h)
}

// elsewhere says whether a redirect goes to a scheme over which the route is not served.
var elsewhere = "(" + said("self.redirect.scheme") + " && (" + filled("self.schemes") +
	" ? !(self.redirect.scheme in self.schemes) : self.redirect.scheme == 'http' && !(has(self.plainHTTP) && self.plainHTTP)))"

// leadsBack says whether a client that follows the redirect comes to the route again.
var leadsBack = fmt.Sprintf("(%s ? self.hosts.exists(h, h.startsWith('*.') ? %s.endsWith(%s) && %s.size() > %s.size() : h != '*' && %s == %s) : (%s || %s)) && (!(%s) || !(%s) || (%s ? self.redirect.path == self.match.path.exact : %s && (self.redirect.path + '/').startsWith(self.match.path.prefix.endsWith('/') ? self.match.path.prefix : self.match.path.prefix + '/')))",
	said("self.redirect.host"),
	plainHost("self.redirect.host"), plainHost("h.substring(1)"), plainHost("self.redirect.host"), plainHost("h.substring(1)"), plainHost("self.redirect.host"), plainHost("h"),
	said("self.redirect.path"), said("self.redirect.scheme"),
	said("self.redirect.path"), given("self.match.path"),
	said("self.match.path.exact"), said("self.match.path.prefix"))
