package mesh

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of one route.
const (
	maxHosts    = 100
	maxBackends = 50
	maxGateways = 50
	maxAudience = 512 // bytes
)

// Validate reports every fault of the route, each with its field's path.
func (r *Route) Validate() Faults {
	var f Faults
	f.check("name", labelFault(string(r.Name)))
	validateOwner(&f, r.Owner)
	r.validateHosts(&f)
	r.validateGateways(&f)
	r.Match.validate(&f, "match", &patterns{})
	if p := r.Match.Path; p != nil {
		f.checkWrite("match.path.exact", deadAtEdgeFault(p.Exact))
		f.checkWrite("match.path.prefix", deadAtEdgeFault(p.Prefix))
	}
	r.validateBackends(&f)
	r.validateRewrites(&f)
	r.validateSchemes(&f)
	r.RequestHeaders.validate(&f, "requestHeaders")
	r.ResponseHeaders.validate(&f, "responseHeaders")
	if r.Order < 0 {
		f.Add("order", "%d is below 0", r.Order)
	}
	f.check("timeout", durationFault(r.Timeout, time.Millisecond, 24*time.Hour))
	if r.Redirect != nil {
		r.validateRedirect(&f)
	}
	if a := r.Auth; a != nil {
		f.check("auth.provider", labelFault(a.Provider))
		f.check("auth.audience", audienceFault(a.Audience))
	}
	if m := r.Mirror; m != nil {
		f.check("mirror.service", labelFault(string(m.Service)))
		f.check("mirror.subset", optionalLabelFault(m.Subset))
		if !(m.Percent >= 0 && m.Percent <= 100) { //nolint:staticcheck // NaN is neither
			f.Add("mirror.percent", "%v is out of range: use 0 to 100", m.Percent)
		}
	}
	if r.RateLimit != nil {
		r.RateLimit.validate(&f, "rateLimit")
	}
	return f
}

// audienceFault says why s cannot be the audience of a token, or "". It goes to the
// AuthZ service as it stands.
func audienceFault(s string) string {
	if len(s) > maxAudience || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }) {
		return fmt.Sprintf("%s is not an audience: at most %d characters, without spaces", quote(s), maxAudience)
	}
	return ""
}

func (r *Route) validateHosts(f *Faults) {
	if len(r.Hosts) == 0 {
		f.Add("hosts", "is required: at least one host name")
	}
	if len(r.Hosts) > maxHosts {
		f.checkWrite("hosts", fmt.Sprintf("has %d entries; at most %d are allowed", len(r.Hosts), maxHosts))
		return
	}
	seen := map[string]int{}
	for i, host := range r.Hosts {
		if host != AnyHost {
			f.check(at("hosts", i), hostFault(strings.TrimPrefix(host, "*.")))
		}
		if strings.HasPrefix(host, "*.") && ipFault(host[2:]) == "" {
			f.checkWrite(at("hosts", i), fmt.Sprintf("%s puts a star before an address: only host names have them", quote(host)))
		}
		plain := PlainHost(host)
		if first, twice := seen[plain]; twice {
			f.checkWrite(at("hosts", i), fmt.Sprintf("%s is in hosts[%d] already", quote(host), first))
		}
		seen[plain] = i
	}
}

func (r *Route) validateGateways(f *Faults) {
	if len(r.Gateways) > maxGateways {
		f.Add("gateways", "has %d entries; at most %d are allowed", len(r.Gateways), maxGateways)
		return
	}
	for i, name := range r.Gateways {
		f.check(at("gateways", i), labelFault(string(name)))
		if first := slices.Index(r.Gateways, name); first < i {
			f.Add(at("gateways", i), "%q is in gateways[%d] already", name, first)
		}
	}
}

func (r *Route) validateBackends(f *Faults) {
	if r.Redirect != nil || r.Refuse != 0 {
		instead := "redirect"
		if r.Refuse != 0 {
			instead = "refuse"
		}
		if r.Refuse != 0 && (r.Refuse < 400 || r.Refuse > 599) {
			f.Add("refuse", "%d is no status of a refusal: use 400 to 599", r.Refuse)
		}
		if r.Refuse != 0 && r.Redirect != nil {
			f.Add("redirect", "cannot stand beside refuse, which answers the request itself: leave one of them out")
		}
		for _, field := range []struct {
			path string
			set  bool
		}{
			{"backends", len(r.Backends) > 0}, {"rewrite", r.Rewrite != ""}, {"rewriteHost", r.RewriteHost != ""},
			{"timeout", r.Timeout != 0}, {"mirror", r.Mirror != nil},
		} {
			if field.set {
				f.Add(field.path, "cannot stand beside %s, which answers the request itself: leave one of them out", instead)
			}
		}
		return
	}
	if len(r.Backends) > maxBackends {
		f.checkWrite("backends", fmt.Sprintf("has %d entries; at most %d are allowed", len(r.Backends), maxBackends))
		return
	}
	total := 0
	for i, backend := range r.Backends {
		path := at("backends", i)
		f.check(path+".service", labelFault(string(backend.Service)))
		f.checkWrite(path+".subset", optionalLabelFault(backend.Subset))
		validateWeight(f, path+".weight", backend.Weight, 1_000_000)
		total += backend.Weight
	}
	if len(r.Backends) == 0 {
		f.Add("backends", "is required: at least one service, or else a redirect, or refuse")
	} else if total <= 0 {
		f.Add("backends", "has only weights of 0: at least one has to be above it")
	}
}

// validateRewrites looks at what becomes of the address.
func (r *Route) validateRewrites(f *Faults) {
	r.validatePath(f, "rewrite", r.Rewrite)
	if r.RewriteHost != "" {
		f.check("rewriteHost", authorityFault(r.RewriteHost))
	}
	if r.WholePath && r.Rewrite == "" && (r.Redirect == nil || r.Redirect.Path == "") {
		f.Add("wholePath", "says nothing without rewrite or redirect.path, which it has replace the whole path: leave it out")
	}
}

func (r *Route) validatePath(f *Faults, path, to string) {
	switch {
	case to == "":
	case r.WholePath:
		f.check(path, pathFault(to))
	default:
		validateRewrite(f, path, to, r.Match)
	}
}

func (r *Route) validateRedirect(f *Faults) {
	d := r.Redirect
	if d.Scheme == "" && d.Host == "" && d.Port == 0 && d.Path == "" {
		f.Add("redirect", "leads nowhere else: give it a scheme, a host, a port or a path")
	}
	if d.Scheme != "" {
		f.check("redirect.scheme", schemeFault(d.Scheme))
	}
	if d.Host != "" {
		f.check("redirect.host", hostFault(d.Host))
	}
	if d.Port != 0 {
		f.check("redirect.port", portFault(d.Port))
	}
	r.validatePath(f, "redirect.path", d.Path)
	if d.Status != 0 && !slices.Contains([]int{301, 302, 303, 307, 308}, d.Status) {
		f.Add("redirect.status", "%d is not one of 301, 302, 303, 307, 308", d.Status)
	}
	if r.redirectsToItself() {
		f.Add("redirect", "leads back to this route, and again and again: the new address matches it too")
	}
}

// redirectsToItself says whether a client that follows comes back to the route
// without end: to one of its hosts, by a path that matches again.
func (r *Route) redirectsToItself() bool {
	d := r.Redirect
	if d.Port != 0 || d.Scheme != "" && !r.servedOver(d.Scheme) || d.Scheme == "" && d.Host == "" && d.Path == "" || d.Host != "" && !r.namesHost(d.Host) {
		return false
	}
	path := r.Match.Path
	switch {
	case path == nil, d.Path == "":
		return true
	case path.Exact != "":
		return d.Path == path.Exact
	case path.Prefix != "":
		prefix, target := strings.TrimRight(path.Prefix, "/"), strings.TrimRight(d.Path, "/")
		return target == prefix || strings.HasPrefix(target, prefix+"/")
	case path.Regex != "" && r.WholePath:
		again, err := regexp.MatchString("^(?:"+path.Regex+")$", d.Path)
		return err == nil && again
	}
	return false
}

// AnyHost among a route's hosts stands for every host.
const AnyHost = "*"

// namesHost says whether requests for a host are the route's, by name or by a star. Of
// a route for every host that is not certain: another host may lead elsewhere.
func (r *Route) namesHost(host string) bool {
	host = PlainHost(host)
	return slices.ContainsFunc(r.Hosts, func(one string) bool { return one != AnyHost && HostCovers(PlainHost(one), host) })
}

// PlainHost writes a host in its one form: lower case, without a dot at its end.
func PlainHost(host string) string { return strings.TrimSuffix(strings.ToLower(host), ".") }

// HostCovers says whether a plain host, which may begin with "*.", stands for
// another, which may do so too.
func HostCovers(pattern, host string) bool {
	if pattern == host {
		return true
	}
	domain, wild := strings.CutPrefix(pattern, "*")
	return wild && strings.HasSuffix(host, domain) && len(host) > len(domain)
}

// deadAtEdgeFault says why no request at a gateway has such a path, or "".
func deadAtEdgeFault(path string) string {
	lower := strings.ToLower(path)
	if strings.Contains(path, "//") || slices.ContainsFunc([]string{";", "%3b", "%2f", "%5c"}, func(s string) bool { return strings.Contains(lower, s) }) {
		return fmt.Sprintf("%s never matches: gateways make doubled slashes one, send clients with escaped slashes to the plain form, and refuse \";\"", quote(path))
	}
	return ""
}

func (l *RateLimit) validate(f *Faults, path string) {
	if l.Requests < 1 || l.Requests > 1_000_000 {
		f.Add(join(path, "requests"), "%d is out of range: use 1 to 1000000", l.Requests)
	}
	f.check(join(path, "per"), durationFault(l.Per, time.Second, 24*time.Hour))
	if l.Burst < 0 || l.Burst > 1_000_000 || l.Burst > 0 && l.Burst < l.Requests {
		f.Add(join(path, "burst"), "%d is out of range: use requests (%d) to 1000000", l.Burst, l.Requests)
	}
}

func optionalLabelFault(s string) string {
	if s == "" {
		return ""
	}
	return labelFault(s)
}
