package insight

import (
	"net/url"
	"regexp"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// request is what Envoy's routes are matched with.
type request struct {
	method, path, host string
	headers            map[string]string // names in lower case
}

// requestOf takes a request as an Envoy's connection manager does. A gateway merges
// slashes.
func requestOf(r mesh.ExplainedRequest, merge bool) request {
	out := request{method: r.Method, host: r.Host, path: plainPath(r.Path, merge), headers: map[string]string{}}
	for name, value := range r.Headers {
		out.headers[strings.ToLower(name)] = value
	}
	return out
}

// plainPath resolves dots and needless escapes, as normalize_path does (RFC 3986,
// section 6.2.2), and leaves the query alone.
func plainPath(path string, merge bool) string {
	path, _, _ = strings.Cut(path, "#")
	path, query, asks := strings.Cut(path, "?")
	var kept []string
	segments := strings.Split(strings.ReplaceAll(unescaped(path), `\`, "/"), "/")
	for i, one := range segments {
		last := i == len(segments)-1
		switch {
		case i == 0:
		case one == "." || one == "..":
			if one == ".." && len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
			if last {
				kept = append(kept, "")
			}
		case one == "" && merge && !last:
		default:
			kept = append(kept, one)
		}
	}
	path = "/" + strings.Join(kept, "/")
	if asks {
		path += "?" + query
	}
	return path
}

var escapes = regexp.MustCompile(`%[0-9A-Fa-f]{2}`) //nolint:gochecknoglobals // never changed

// unescaped writes out the letters that need no escape.
func unescaped(path string) string {
	return escapes.ReplaceAllStringFunc(path, func(escape string) string {
		plain, err := url.PathUnescape(escape)
		if err != nil || len(plain) != 1 || !needsNoEscape(plain[0]) {
			return escape
		}
		return plain
	})
}

func needsNoEscape(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// value finds a header, or what Envoy keeps as one.
func (r *request) value(name string) (string, bool) {
	switch name = strings.ToLower(name); name {
	case ":method":
		return r.method, true
	case ":path":
		return r.path, true
	case ":authority", "host":
		return r.host, true
	}
	value, has := r.headers[name]
	return value, has
}

// virtualHost finds the one that answers for a host: an exact domain, then the
// longest with a star, then "*" (Envoy, config.route.v3.VirtualHost.domains).
func virtualHost(config *routev3.RouteConfiguration, host string) *routev3.VirtualHost {
	host = strings.ToLower(host)
	if config.GetIgnorePortInHostMatching() {
		host = withoutPort(host)
	}
	var best, any *routev3.VirtualHost
	longest := 0
	for _, one := range config.GetVirtualHosts() {
		for _, domain := range one.GetDomains() {
			domain = strings.ToLower(domain)
			suffix, star := strings.CutPrefix(domain, "*")
			switch {
			case domain == host:
				return one
			case domain == "*":
				any = one
			case star && len(host) > len(suffix) && strings.HasSuffix(host, suffix) && len(suffix) > longest:
				best, longest = one, len(suffix)
			}
		}
	}
	if best != nil {
		return best
	}
	return any
}

// withoutPort takes the port off, and the dot that a full name ends with.
func withoutPort(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") && strings.Trim(host[i+1:], "0123456789") == "" {
		host = host[:i]
	}
	return strings.TrimSuffix(host, ".")
}

// routeFor finds the first route of a virtual host that matches.
func routeFor(host *routev3.VirtualHost, r *request) *routev3.Route {
	for _, one := range host.GetRoutes() {
		if matches(one.GetMatch(), r) {
			return one
		}
	}
	return nil
}

func matches(m *routev3.RouteMatch, r *request) bool {
	path, query, _ := strings.Cut(r.path, "?")
	switch by := m.GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Prefix:
		if !strings.HasPrefix(path, by.Prefix) {
			return false
		}
	case *routev3.RouteMatch_PathSeparatedPrefix:
		if path != by.PathSeparatedPrefix && !strings.HasPrefix(path, by.PathSeparatedPrefix+"/") {
			return false
		}
	case *routev3.RouteMatch_Path:
		if path != by.Path {
			return false
		}
	case *routev3.RouteMatch_SafeRegex:
		if !wholly(by.SafeRegex, path) {
			return false
		}
	default:
		return false
	}
	for _, one := range m.GetHeaders() {
		if !hasHeader(one, r) {
			return false
		}
	}
	for _, one := range m.GetQueryParameters() {
		if !hasParameter(one, query) {
			return false
		}
	}
	return true
}

// hasParameter is Envoy's QueryParameterMatcher: of several parameters of one name the
// first counts, and escapes are not resolved.
func hasParameter(m *routev3.QueryParameterMatcher, query string) bool {
	for _, one := range strings.Split(query, "&") {
		if name, value, _ := strings.Cut(one, "="); name == m.GetName() {
			return m.GetPresentMatch() || says(m.GetStringMatch(), value)
		}
	}
	return false
}

// hasHeader is Envoy's HeaderMatcher: a header that is not there matches nothing
// but a matcher of presence, unless it is to be taken for an empty one.
func hasHeader(m *routev3.HeaderMatcher, r *request) bool {
	value, has := r.value(m.GetName())
	if by, is := m.GetHeaderMatchSpecifier().(*routev3.HeaderMatcher_PresentMatch); is {
		return (has == by.PresentMatch) != m.GetInvertMatch()
	}
	if !has && !m.GetTreatMissingHeaderAsEmpty() {
		return false
	}
	return says(m.GetStringMatch(), value) != m.GetInvertMatch()
}

func says(m *matcherv3.StringMatcher, value string) bool {
	if m.GetIgnoreCase() {
		value = strings.ToLower(value)
	}
	fold := func(text string) string {
		if m.GetIgnoreCase() {
			return strings.ToLower(text)
		}
		return text
	}
	switch by := m.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		return value == fold(by.Exact)
	case *matcherv3.StringMatcher_Prefix:
		return strings.HasPrefix(value, fold(by.Prefix))
	case *matcherv3.StringMatcher_Suffix:
		return strings.HasSuffix(value, fold(by.Suffix))
	case *matcherv3.StringMatcher_Contains:
		return strings.Contains(value, fold(by.Contains))
	case *matcherv3.StringMatcher_SafeRegex:
		return wholly(by.SafeRegex, value)
	}
	return false
}

// wholly says whether a regular expression matches all of a text. Validation has
// taken the expression with the same syntax (RE2).
func wholly(m *matcherv3.RegexMatcher, text string) bool {
	expression, err := regexp.Compile(`^(?:` + m.GetRegex() + `)$`)
	return err == nil && expression.MatchString(text)
}
