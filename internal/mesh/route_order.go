package mesh

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
)

// CompareHosts orders plain hosts by how exact they are: names before stars, and
// of stars the longer ones.
func CompareHosts(a, b string) int {
	return cmp.Or(
		compareBool(strings.HasPrefix(b, "*"), strings.HasPrefix(a, "*")),
		-cmp.Compare(len(a), len(b)),
		cmp.Compare(a, b),
	)
}

// CompareRoutes orders routes of one host as gateways try them, the Gateway
// API's way: exact paths, regular expressions, then prefixes, the longer ones
// first; then those that name methods; then those with more headers; then those with
// more parameters of the query. Of two that are alike the one of lower order comes first, then the one that was created
// first, then the name decides.
func CompareRoutes(a, b *Route) int {
	return cmp.Or(
		-cmp.Compare(pathRank(a.Match.Path), pathRank(b.Match.Path)),
		-cmp.Compare(pathLength(a.Match.Path), pathLength(b.Match.Path)),
		compareBool(len(a.Match.Methods) > 0, len(b.Match.Methods) > 0),
		-cmp.Compare(len(a.Match.Headers), len(b.Match.Headers)),
		-cmp.Compare(len(a.Match.Query), len(b.Match.Query)),
		cmp.Compare(a.Order, b.Order),
		cmp.Compare(a.Created, b.Created),
		cmp.Compare(a.Name, b.Name),
	)
}

// compareBool puts true before false.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

func pathRank(p *PathMatch) int {
	switch {
	case p == nil:
		return 0
	case p.Exact != "":
		return 2
	case p.Regex != "":
		return 1
	}
	return 0
}

func pathLength(p *PathMatch) int {
	if p == nil {
		return 0
	}
	return len(p.Exact) + len(p.Regex) + len(strings.TrimRight(p.Prefix, "/"))
}

// Hides says whether a route that is tried before another of the same host takes
// some or all of the requests that the other asks for in the same words: the same
// path, headers and query, and a method that both name, or none.
func (r *Route) Hides(other *Route) bool {
	return matchKey(r.Match) == matchKey(other.Match) && r.shares(other)
}

// Hidden finds the routes of one host that another hides, given in the order in
// which they are tried, and gives for each the one that does.
func Hidden(tried []*Route) map[*Route]*Route {
	out, same := map[*Route]*Route{}, map[string][]*Route{}
	for _, r := range tried {
		key := matchKey(r.Match)
		if i := slices.IndexFunc(same[key], func(earlier *Route) bool { return earlier.shares(r) }); i >= 0 {
			out[r] = same[key][i]
		}
		same[key] = append(same[key], r)
	}
	return out
}

// shares says of two routes whose matches have one key whether there is a method and a
// scheme that both serve.
func (r *Route) shares(other *Route) bool {
	schemes := len(r.Schemes) == 0 || len(other.Schemes) == 0 ||
		slices.ContainsFunc(r.Schemes, func(scheme Scheme) bool { return slices.Contains(other.Schemes, scheme) })
	return schemes && r.Match.sharesMethod(&other.Match)
}

// sharesMethod says of two matches with one key whether there is a method that
// both name; of two that name none there is.
func (m *RequestMatch) sharesMethod(other *RequestMatch) bool {
	return len(m.Methods) == 0 || slices.ContainsFunc(m.Methods, func(method string) bool { return slices.Contains(other.Methods, method) })
}

// matchKey is the same for two matches whose paths, headers and queries say the same,
// and of which both or none name methods.
func matchKey(m RequestMatch) string {
	path := PathMatch{}
	if m.Path != nil {
		path = *m.Path
		path.Prefix = strings.TrimRight(path.Prefix, "/")
	}
	headers := make([]HeaderMatch, len(m.Headers))
	for i, header := range m.Headers {
		header.Name = strings.ToLower(header.Name)
		headers[i] = header
	}
	slices.SortFunc(headers, func(a, b HeaderMatch) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Exact, b.Exact), cmp.Compare(a.Prefix, b.Prefix), cmp.Compare(a.Regex, b.Regex), compareBool(a.Invert, b.Invert))
	})
	query := slices.SortedFunc(slices.Values(m.Query), func(a, b QueryMatch) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Exact, b.Exact), cmp.Compare(a.Prefix, b.Prefix), cmp.Compare(a.Regex, b.Regex))
	})
	key, err := json.Marshal(struct {
		Path    PathMatch
		Headers []HeaderMatch
		Query   []QueryMatch
		Methods bool
	}{path, headers, query, len(m.Methods) > 0})
	if err != nil {
		panic("mesh: a match of strings cannot be encoded: " + err.Error())
	}
	return string(key)
}
