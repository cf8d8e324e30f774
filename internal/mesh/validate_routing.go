package mesh

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

func (s *Service) validateSubsets(f *Faults) {
	if len(s.Subsets) > maxSubsets {
		f.Add("subsets", "has %d entries; at most %d are allowed", len(s.Subsets), maxSubsets)
		return
	}
	seen := map[string]int{}
	for i, subset := range s.Subsets {
		path := at("subsets", i)
		f.check(path+".name", labelFault(subset.Name))
		if first, twice := seen[subset.Name]; twice {
			f.Add(path+".name", "%q is the name of subsets[%d] already", subset.Name, first)
		}
		seen[subset.Name] = i
		if len(subset.Labels) == 0 {
			f.Add(path+".labels", "is required: the labels that pick the subset's instances")
		}
		validateLabels(f, path+".labels", subset.Labels)
	}
	if len(s.Subsets) > 0 && !s.Endpoints.Registered() {
		f.Add("subsets", "cannot be used with dns or static endpoints, which carry no labels: register instances instead")
	}
}

func (s *Service) validateRoutes(f *Faults) {
	if len(s.Routes) == 0 {
		return
	}
	if s.Protocol == TCP {
		f.Add("routes", "are for http, http2 and grpc: a TCP connection has no requests to match")
		return
	}
	if len(s.Routes) > maxRules {
		f.Add("routes", "has %d entries; at most %d are allowed", len(s.Routes), maxRules)
		return
	}
	var regexes patterns
	for i := range s.Routes {
		rule, path := &s.Routes[i], at("routes", i)
		rule.Match.validate(f, path+".match", &regexes)
		s.validateTargets(f, path, rule)
		f.check(path+".timeout", durationFault(rule.Timeout, time.Millisecond, 24*time.Hour))
		if rule.Retries != nil {
			rule.Retries.validate(f, path+".retries")
		}
		validateRewrite(f, path+".rewrite", rule.Rewrite, rule.Match)
		if i < len(s.Routes)-1 && rule.Match.matchesAll() {
			f.checkWrite(path+".match", "matches every request, so the rules behind it are never reached: move it to the end")
		}
	}
}

func (s *Service) validateTargets(f *Faults, path string, rule *RouteRule) {
	if len(rule.To) > maxSubsets+1 {
		f.Add(path+".to", "has %d entries; at most %d are allowed: each subset once, and all instances", len(rule.To), maxSubsets+1)
		return
	}
	total := 0
	seen := map[string]int{}
	for j, target := range rule.To {
		to := at(path+".to", j)
		s.validateSubsetName(f, to+".subset", target.Subset)
		validateWeight(f, to+".weight", target.Weight, 1_000_000)
		if first, twice := seen[target.Subset]; twice {
			f.Add(to+".subset", "%q is in %s already", target.Subset, at("to", first))
		}
		seen[target.Subset] = j
		total += target.Weight
	}
	if len(rule.To) > 0 && total <= 0 {
		f.Add(path+".to", "has only weights of 0: at least one has to be above it")
	}
	if rule.Mirror == nil {
		return
	}
	if rule.Mirror.Subset == "" {
		f.Add(path+".mirror.subset", "is required: a subset of the service")
	}
	s.validateSubsetName(f, path+".mirror.subset", rule.Mirror.Subset)
	if p := rule.Mirror.Percent; !(p >= 0 && p <= 100) { //nolint:staticcheck // NaN is neither
		f.Add(path+".mirror.percent", "%v is out of range: use 0 to 100", p)
	}
}

func (s *Service) validateSubsetName(f *Faults, path, name string) {
	if name == "" || slices.ContainsFunc(s.Subsets, func(one Subset) bool { return one.Name == name }) {
		return
	}
	f.Add(path, "%s is not in subsets", quote(name))
}

func (m *RequestMatch) matchesAll() bool {
	anyPath := m.Path == nil || m.Path.Prefix != "" && strings.Trim(m.Path.Prefix, "/") == ""
	return anyPath && len(m.Methods) == 0 && len(m.Headers) == 0 && len(m.Query) == 0
}

func (m *RequestMatch) validate(f *Faults, path string, regexes *patterns) {
	if m.Path != nil {
		m.Path.validate(f, path+".path", regexes)
	}
	if len(m.Methods) > maxLabels || len(m.Headers) > maxLabels || len(m.Query) > maxLabels {
		f.Add(path, "has more than %d methods, headers or parameters of the query", maxLabels)
		return
	}
	for i, method := range m.Methods {
		if method == "" || len(method) > maxLabel || strings.ContainsFunc(method, func(r rune) bool { return (r < 'A' || r > 'Z') && r != '-' }) {
			f.Add(at(path+".methods", i), "%s is not a method in capital letters, such as \"GET\"", quote(method))
		}
	}
	for i := range m.Headers {
		m.Headers[i].validate(f, at(path+".headers", i), regexes)
	}
	for i := range m.Query {
		m.Query[i].validate(f, at(path+".query", i), regexes)
	}
}

func (p *PathMatch) validate(f *Faults, path string, regexes *patterns) {
	if count(p.Exact != "", p.Prefix != "", p.Regex != "") != 1 {
		f.Add(path, "wants exactly one of exact, prefix and regex")
	}
	if p.Exact != "" {
		f.check(join(path, "exact"), pathFault(p.Exact))
		f.checkWrite(join(path, "exact"), deadPathFault(p.Exact))
	}
	if p.Prefix != "" {
		f.check(join(path, "prefix"), pathFault(p.Prefix))
		f.checkWrite(join(path, "prefix"), deadPathFault(p.Prefix))
	}
	f.check(join(path, "regex"), regexes.fault(p.Regex))
}

func (h *HeaderMatch) validate(f *Faults, path string, regexes *patterns) {
	f.check(join(path, "name"), headerNameFault(h.Name))
	if count(h.Exact != "", h.Prefix != "", h.Regex != "") > 1 {
		f.Add(path, "wants at most one of exact, prefix and regex")
	}
	f.check(join(path, "exact"), headerValueFault(h.Exact))
	f.check(join(path, "prefix"), headerValueFault(h.Prefix))
	f.check(join(path, "regex"), regexes.fault(h.Regex))
}

func (q *QueryMatch) validate(f *Faults, path string, regexes *patterns) {
	if q.Name == "" {
		f.Add(join(path, "name"), "is required: the name of a parameter, such as \"beta\"")
	}
	if count(q.Exact != "", q.Prefix != "", q.Regex != "") > 1 {
		f.Add(path, "wants at most one of exact, prefix and regex")
	}
	f.check(join(path, "name"), queryFault(q.Name, "=&#+"))
	f.check(join(path, "exact"), queryFault(q.Exact, "&#"))
	f.check(join(path, "prefix"), queryFault(q.Prefix, "&#"))
	f.check(join(path, "regex"), regexes.fault(q.Regex))
}

// queryFault says why a text cannot stand in a query (RFC 3986, section 3.4), or not in
// one of its parameters, or "".
func queryFault(s, without string) string {
	if len(s) > 1024 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) || strings.ContainsAny(s, without) {
		return fmt.Sprintf("%s never stands in a query: write it as in a request, with escapes (%%20) for spaces and all but printable ASCII, without any of %q, and in at most 1024 bytes", quote(s), without)
	}
	return ""
}

// deadPathFault says why a path that requests are held to never matches, or "".
// Sidecars bring the paths of requests into their plain form first (RFC 3986,
// section 6.2.2). What is no path at all is for pathFault to say.
func deadPathFault(s string) string {
	if pathFault(s) != "" {
		return ""
	}
	dots := slices.ContainsFunc(strings.Split(s, "/"), func(segment string) bool { return segment == "." || segment == ".." })
	if dots || strings.Contains(s, `\`) || escapedPlain.MatchString(s) {
		return fmt.Sprintf("%s never matches: write it without \".\" and \"..\" segments, backslashes, and escapes of letters, digits, \"-\", \".\", \"_\" and \"~\"", quote(s))
	}
	return ""
}

// escapedPlain finds percent escapes of characters that need none.
var escapedPlain = regexp.MustCompile(`(?i)%(4[1-9a-f]|5[0-9a]|6[1-9a-f]|7[0-9a]|3[0-9]|2d|2e|5f|7e)`)

func validateRewrite(f *Faults, path, rewrite string, match RequestMatch) {
	if rewrite == "" {
		return
	}
	f.check(path, pathFault(rewrite))
	if match.Path == nil || match.Path.Regex != "" {
		f.Add(path, "needs a match on an exact path or a path prefix, which it replaces")
	}
}

func validateLabels(f *Faults, path string, labels map[string]string) {
	if len(labels) > maxLabels {
		f.Add(path, "has %d entries; at most %d are allowed", len(labels), maxLabels)
		return
	}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if key == "" || len(key) > 255 || !utf8.ValidString(key) || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
			f.Add(path, "%s is not a label key: use printable ASCII without spaces, at most 255 bytes", quote(key))
		}
		f.check(join(path, cut(key)), labelValueFault(labels[key]))
	}
}

func labelValueFault(s string) string {
	if len(s) > 255 {
		return fmt.Sprintf("has %d bytes; at most 255 are allowed", len(s))
	}
	return textFault(s)
}

func count(conditions ...bool) int {
	n := 0
	for _, c := range conditions {
		if c {
			n++
		}
	}
	return n
}
