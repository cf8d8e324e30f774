package mesh

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

func (r *Route) validateSchemes(f *Faults) {
	for i, one := range r.Schemes {
		f.check(at("schemes", i), schemeFault(one))
		if first := slices.Index(r.Schemes, one); first < i {
			f.Add(at("schemes", i), "%q is in schemes[%d] already", one, first)
		}
	}
	if len(r.Schemes) > 0 && r.PlainHTTP {
		f.Add("plainHTTP", "contradicts schemes, which names all that it is served over: leave it out")
	}
}

func schemeFault(s Scheme) string {
	if s != PlainHTTP && s != HTTPS {
		return oneOf(string(s), PlainHTTP, HTTPS)
	}
	return ""
}

// servedOver says whether a client that comes over a scheme may find the route itself.
func (r *Route) servedOver(s Scheme) bool {
	return len(r.Schemes) == 0 && (s == HTTPS || r.PlainHTTP) || slices.Contains(r.Schemes, s)
}

func (c *HeaderChange) validate(f *Faults, path string) {
	if c == nil {
		return
	}
	if len(c.Set)+len(c.Add)+len(c.Remove) > maxLabels {
		f.Add(path, "names more than %d headers", maxLabels)
		return
	}
	seen := map[string]bool{}
	name := func(path, s string) {
		f.check(path, changedHeaderFault(s))
		if lower := strings.ToLower(s); seen[lower] {
			f.Add(path, "%s is named twice", quote(s))
		} else {
			seen[lower] = true
		}
	}
	for _, one := range []struct {
		path   string
		values map[string]string
	}{{path + ".set", c.Set}, {path + ".add", c.Add}} {
		for _, header := range slices.Sorted(maps.Keys(one.values)) {
			name(join(one.path, cut(header)), header)
			f.check(join(one.path, cut(header)), headerValueFault(one.values[header]))
		}
	}
	for i, header := range c.Remove {
		name(at(path+".remove", i), header)
	}
}

// changedHeaderFault says why a route cannot change a header, or "". The mesh's own say
// who calls, and those of the connection where a message ends: both are Envoy's to write.
func changedHeaderFault(s string) string {
	if fault := headerNameFault(s); fault != "" {
		return fault
	}
	lower := strings.ToLower(s)
	connection := []string{"host", "connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
	if strings.HasPrefix(lower, "x-heddle-") || strings.HasPrefix(lower, "x-envoy-") || slices.Contains(connection, lower) {
		return fmt.Sprintf("%s is not for routes to change: it belongs to the mesh or to the connection", quote(s))
	}
	return ""
}
