package translate

import (
	"regexp"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// routeMatch is when a rule applies.
func routeMatch(m mesh.RequestMatch) *routev3.RouteMatch {
	out := &routev3.RouteMatch{}
	switch path := m.Path; {
	case path == nil:
		out.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: "/"}
	case path.Exact != "":
		out.PathSpecifier = &routev3.RouteMatch_Path{Path: path.Exact}
	case path.Regex != "":
		out.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: regex(path.Regex)}
	case segments(path.Prefix) == "":
		out.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: "/"}
	default:
		out.PathSpecifier = &routev3.RouteMatch_PathSeparatedPrefix{PathSeparatedPrefix: segments(path.Prefix)}
	}
	if len(m.Methods) > 0 {
		out.Headers = append(out.Headers, methodMatch(m.Methods))
	}
	for _, header := range m.Headers {
		out.Headers = append(out.Headers, headerMatch(header))
	}
	for _, parameter := range m.Query {
		out.QueryParameters = append(out.QueryParameters, queryMatch(parameter))
	}
	return out
}

// segments is a prefix without the slash at its end: "/api/" means the same
// whole segments as "/api".
func segments(prefix string) string { return strings.TrimRight(prefix, "/") }

func methodMatch(methods []string) *routev3.HeaderMatcher {
	if len(methods) == 1 {
		return exactHeader(":method", methods[0])
	}
	return &routev3.HeaderMatcher{Name: ":method", HeaderMatchSpecifier: stringMatch(&matcherv3.StringMatcher{
		MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: regex(strings.Join(methods, "|"))},
	})}
}

func exactHeader(name, value string) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{Name: name, HeaderMatchSpecifier: stringMatch(&matcherv3.StringMatcher{
		MatchPattern: &matcherv3.StringMatcher_Exact{Exact: value},
	})}
}

func headerMatch(h mesh.HeaderMatch) *routev3.HeaderMatcher {
	out := &routev3.HeaderMatcher{Name: h.Name, InvertMatch: h.Invert}
	pattern := pattern(h.Exact, h.Prefix, h.Regex)
	if pattern == nil {
		out.HeaderMatchSpecifier = &routev3.HeaderMatcher_PresentMatch{PresentMatch: true}
		return out
	}
	out.HeaderMatchSpecifier = stringMatch(pattern)
	// A request without the header does not match either; Envoy would fail it
	// whether inverted or not.
	out.TreatMissingHeaderAsEmpty = h.Invert
	return out
}

func queryMatch(q mesh.QueryMatch) *routev3.QueryParameterMatcher {
	out := &routev3.QueryParameterMatcher{Name: q.Name}
	if pattern := pattern(q.Exact, q.Prefix, q.Regex); pattern != nil {
		out.QueryParameterMatchSpecifier = &routev3.QueryParameterMatcher_StringMatch{StringMatch: pattern}
	} else {
		out.QueryParameterMatchSpecifier = &routev3.QueryParameterMatcher_PresentMatch{PresentMatch: true}
	}
	return out
}

// pattern is the one way in which a value is matched; nil: its presence alone.
func pattern(exact, prefix, expression string) *matcherv3.StringMatcher {
	switch {
	case exact != "":
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: exact}}
	case prefix != "":
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: prefix}}
	case expression != "":
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: regex(expression)}}
	}
	return nil
}

func stringMatch(m *matcherv3.StringMatcher) *routev3.HeaderMatcher_StringMatch {
	return &routev3.HeaderMatcher_StringMatch{StringMatch: m}
}

func regex(pattern string) *matcherv3.RegexMatcher { return &matcherv3.RegexMatcher{Regex: pattern} }

// rewriteWhole replaces the path, and leaves the query.
func rewriteWhole(action *routev3.RouteAction, to string) {
	action.RegexRewrite = &matcherv3.RegexMatchAndSubstitute{Pattern: regex("^/.*$"), Substitution: strings.ReplaceAll(to, `\`, `\\`)}
}

// rewrite replaces what the match found at the start of the path, or all of an
// exact path. Envoy's prefix_rewrite swaps the text as it stands, so the slash
// between the new prefix and the rest has to come out right here.
func rewrite(action *routev3.RouteAction, to string, m mesh.RequestMatch) {
	if to == "" || m.Path == nil || m.Path.Regex != "" {
		return
	}
	if m.Path.Exact != "" {
		action.PrefixRewrite = to
		return
	}
	prefix, target := segments(m.Path.Prefix), segments(to)
	switch {
	case prefix == "": // the match is "/", the one prefix that takes the slash with it
		action.PrefixRewrite = target + "/"
	case target == "": // "/api" and "/api/" become "/", "/api/x" becomes "/x"
		action.RegexRewrite = &matcherv3.RegexMatchAndSubstitute{
			Pattern:      regex("^" + regexp.QuoteMeta(prefix) + "/*"),
			Substitution: "/",
		}
	default:
		action.PrefixRewrite = target
	}
}
