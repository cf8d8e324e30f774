package crd

import (
	"strings"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// The patterns of the model's names. They are RE2, as Go's regexp.
const (
	labelPattern    = `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`
	durationPattern = `^\+?([0-9]*\.?[0-9]*(ns|us|µs|μs|ms|s|m|h))+$`
	textPattern     = `^[^\x00-\x08\x0b-\x1f\x7f]*$`
	// A line that holds more than spaces.
	linePattern   = `^[^\x00-\x1f\x7f]*[^\pZ\x00-\x1f\x7f\x{85}][^\x00-\x1f\x7f]*$`
	headerPattern = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
	pathPattern   = `^/[!-"$->@-~]*$`
	hostPattern   = `([A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\.?`
	portPattern   = `0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])`
)

type limit = func(*apiextensions.JSONSchemaProps)

func label(s *apiextensions.JSONSchemaProps) { text(63, "^"+labelPattern+"$")(s) }

// text bounds a string by its characters and its form.
func text(most int64, pattern string, more ...apiextensions.ValidationRule) limit {
	return func(s *apiextensions.JSONSchemaProps) {
		s.MaxLength, s.Pattern = &most, pattern
		s.XValidations = append(s.XValidations, more...)
	}
}

// list bounds a list, and each of its items.
func list(most int64, item limit, more ...apiextensions.ValidationRule) limit {
	return func(s *apiextensions.JSONSchemaProps) {
		s.MaxItems, s.XValidations = &most, append(s.XValidations, more...)
		if item != nil {
			item(s.Items.Schema)
		}
	}
}

// set bounds a list of strings that are all different.
func set(most int64, item limit) limit {
	return func(s *apiextensions.JSONSchemaProps) {
		list(most, item)(s)
		s.XListType = new("set")
	}
}

// keyed bounds a list of objects, of which no two agree in the keys.
func keyed(most int64, keys ...string) limit {
	return func(s *apiextensions.JSONSchemaProps) {
		list(most, nil)(s)
		s.XListType, s.XListMapKeys = new("map"), keys
	}
}

// targets names each subset once: a rule that compares each with each costs too much.
func targets(s *apiextensions.JSONSchemaProps) {
	keyed(51, "subset")(s)
	s.XValidations = rules(someWeight)
}

// emptyByDefault has a string there that is a key.
func emptyByDefault(l limit) limit {
	return func(s *apiextensions.JSONSchemaProps) {
		l(s)
		s.Default = &apiextensions.JSON{Raw: []byte(`""`)}
	}
}

func labels(s *apiextensions.JSONSchemaProps) {
	s.MaxProperties = new(int64(64))
	text(255, textPattern)(s.AdditionalProperties.Schema)
	s.XValidations = rules(rule(`self.all(key, key.matches('^[!-~]{1,255}$'))`,
		"has a key that is not printable ASCII without spaces, of at most 255 bytes"))
}

// vmTags bounds tags as clouds have them.
func vmTags(s *apiextensions.JSONSchemaProps) {
	s.MaxProperties = new(int64(64))
	text(1024, textPattern, bytesAtMost(1024))(s.AdditionalProperties.Schema)
	s.XValidations = rules(rule(`self.all(key, bytes(key).size() >= 1 && bytes(key).size() <= 512 && key.matches('^[^\\x00-\\x08\\x0b-\\x1f\\x7f]*$'))`,
		"has a key that is no text of 1 to 512 bytes"))
}

// selector bounds labels as Kubernetes has them.
func selector(s *apiextensions.JSONSchemaProps) {
	s.MaxProperties = new(int64(64))
	text(63, `^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$`)(s.AdditionalProperties.Schema)
	s.XValidations = rules(rule(`self.all(key, key.size() <= 318 && key.matches('^([A-Za-z0-9._-]+/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$'))`,
		"has a key that is no label of Kubernetes"))
}

func atLeastOne(l limit) limit {
	return func(s *apiextensions.JSONSchemaProps) {
		l(s)
		if s.Type == "array" {
			s.MinItems = new(int64(1))
		} else {
			s.MinProperties = new(int64(1))
		}
	}
}

func optional(pattern string) string { return "^$|" + pattern }

// fieldLimits bounds the fields whose tags and types do not say enough, as the
// model's Validate does.
var fieldLimits = map[string]limit{
	"Service.owner":        text(128, linePattern, bytesAtMost(128)),
	"Service.description":  text(1024, textPattern, bytesAtMost(1024)),
	"Service.deprecated":   text(1024, optional(linePattern), bytesAtMost(1024)),
	"Service.dependencies": set(1000, nil),
	"Service.subsets":      keyed(50, "name"),
	"Service.routes":       list(200, nil, lastRuleOnly),
	"Access.approved":      set(10_000, text(71, `^(gateway/)?`+labelPattern+"$")),
	"Access.refused":       set(10_000, text(71, `^(gateway/)?`+labelPattern+"$")),

	"KubernetesEndpoints.clusters":        set(100, label),
	"KubernetesEndpoints.namespace":       label,
	"KubernetesEndpoints.service":         text(63, optional("^"+labelPattern+"$")),
	"KubernetesEndpoints.selector":        selector,
	"KubernetesEndpoints.port":            text(63, optional("^("+portPattern+"|"+labelPattern+")$"), notOnlyDigits),
	"KubernetesEndpoints.serviceAccounts": set(100, text(253, `^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)),
	"KubernetesEndpoints.clusterDomain":   text(254, "", orEmpty(isName)),

	"VMEndpoints.sources": atLeastOne(set(100, label)),
	"VMEndpoints.tags":    vmTags,

	"Endpoints.static":              keyed(1000, "address", "port"),
	"StaticEndpoint.address":        text(45, "", rules(isIP("for a host name use endpoints.dns"), reachable)...),
	"DNSEndpoints.host":             text(254, "", isName),
	"DNSEndpoints.resolvers":        list(16, text(53, "", isIPPort)),
	"HealthCheck.path":              text(4096, optional(pathPattern)),
	"Traffic.hostHeader":            text(300, "", isAuthority),
	"Retries.on":                    list(14, retryCondition),
	"LoadBalancing.hashHeader":      text(256, optional(headerPattern)),
	"LoadBalancing.localityWeights": list(64, nil, differentLocalities),
	"LocalityWeight.region":         text(255, textPattern),
	"LocalityWeight.zone":           text(255, textPattern),
	"UpstreamTLS.sni":               text(254, "", orEmpty(isHost)),
	"UpstreamTLS.ca":                text(1<<20, `^$|-----BEGIN CERTIFICATE-----`),
	"UpstreamTLS.subjectAltNames":   list(64, text(256, "", isStarredHost)),
	"Subset.name":                   label,
	"Subset.labels":                 atLeastOne(labels),
	"RouteRule.to":                  targets,
	"RouteRule.rewrite":             text(4096, optional(pathPattern)),
	"WeightedSubset.subset":         emptyByDefault(text(63, optional("^"+labelPattern+"$"))),
	"Mirror.subset":                 label,
	"RequestMatch.methods":          list(64, text(63, `^[A-Z-]+$`)),
	"RequestMatch.headers":          list(64, nil),
	"PathMatch.exact":               text(4096, optional(pathPattern), livePath),
	"PathMatch.prefix":              text(4096, optional(pathPattern), livePath),
	"PathMatch.regex":               text(1000, "", isRegex),
	"HeaderMatch.name":              text(256, headerPattern),
	"HeaderMatch.exact":             text(4096, headerValuePattern),
	"HeaderMatch.prefix":            text(4096, headerValuePattern),
	"HeaderMatch.regex":             text(1000, ""), // to compile each costs more than rules may
	"RequestMatch.query":            list(64, nil),
	"QueryMatch.name":               text(1024, `^[!-"$%'-*,-<>-~]+$`),
	"QueryMatch.exact":              text(1024, queryValuePattern),
	"QueryMatch.prefix":             text(1024, queryValuePattern),
	"QueryMatch.regex":              text(1000, ""),

	"Route.owner":            text(128, linePattern, bytesAtMost(128)),
	"Route.hosts":            atLeastOne(list(100, text(256, "", isRouteHost), differentHosts)),
	"Route.gateways":         set(50, nil),
	"Route.schemes":          set(2, func(s *apiextensions.JSONSchemaProps) { s.Enum = enum("http", "https") }),
	"HeaderChange.set":       changedHeaders,
	"HeaderChange.add":       changedHeaders,
	"HeaderChange.remove":    set(64, text(256, headerPattern, changeable("self"))),
	"Route.backends":         list(50, nil, someWeight),
	"Route.rewrite":          text(4096, optional(pathPattern)),
	"Route.rewriteHost":      text(300, "", isAuthority),
	"WeightedBackend.subset": text(63, optional("^"+labelPattern+"$")),
	"Redirect.host":          text(254, "", orEmpty(isHost)),
	"Redirect.path":          text(4096, optional(pathPattern)),
	"RouteAuth.provider":     label,
	"RouteAuth.audience":     text(512, `^[\pL\pM\pN\pP\pS]*$`, bytesAtMost(512)),
	"RouteMirror.subset":     text(63, optional("^"+labelPattern+"$")),
}

const queryValuePattern = `^[!-"$%'-~]*$` // printable ASCII without "#" and "&"

const headerValuePattern = `^[^\x00-\x08\x0a-\x1f\x7f]*$`

// changedHeaders bounds the headers that a route changes. That none is named twice is
// for the registry to say.
func changedHeaders(s *apiextensions.JSONSchemaProps) {
	s.MaxProperties = new(int64(64))
	text(4096, headerValuePattern)(s.AdditionalProperties.Schema)
	named := changeable("name")
	s.XValidations = rules(rule("self.all(name, name.size() <= 256 && name.matches('"+strings.ReplaceAll(headerPattern, "'", `\'`)+"') && "+named.Rule+")", named.Message))
}

// changeable keeps routes from headers of the mesh and of the connection.
func changeable(name string) apiextensions.ValidationRule {
	return rule("!"+name+".matches('(?i)^(x-heddle-.*|x-envoy-.*|host|connection|content-length|keep-alive|proxy-connection|te|trailer|transfer-encoding|upgrade)$')",
		"is no header, or not one for routes to change: it belongs to the mesh or to the connection")
}

func enum(values ...string) []apiextensions.JSON {
	var out []apiextensions.JSON
	for _, one := range values {
		out = append(out, apiextensions.JSON{Raw: []byte(`"` + one + `"`)})
	}
	return out
}

// retryCondition is Envoy's.
func retryCondition(s *apiextensions.JSONSchemaProps) {
	s.Enum = enum(
		"5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "envoy-ratelimited",
		"retriable-4xx", "refused-stream", "http3-post-connect-failure",
		"cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable",
	)
}
