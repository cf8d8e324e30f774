package translate

import (
	"maps"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// changeHeaders has Envoy change what a route says of headers.
func changeHeaders(out *routev3.Route, r *mesh.Route) {
	if c := r.RequestHeaders; c != nil {
		out.RequestHeadersToAdd, out.RequestHeadersToRemove = written(c), c.Remove
	}
	if c := r.ResponseHeaders; c != nil {
		out.ResponseHeadersToAdd, out.ResponseHeadersToRemove = written(c), c.Remove
	}
}

// written are the headers that a change sets and adds, in an order that is always
// the same.
func written(c *mesh.HeaderChange) []*corev3.HeaderValueOption {
	var out []*corev3.HeaderValueOption
	for _, one := range []struct {
		values map[string]string
		action corev3.HeaderValueOption_HeaderAppendAction
	}{
		{c.Set, corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD},
		{c.Add, corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD},
	} {
		for _, name := range slices.Sorted(maps.Keys(one.values)) {
			out = append(out, &corev3.HeaderValueOption{
				// A "%" begins one of Envoy's substitutions, and is meant as it stands.
				Header:       &corev3.HeaderValue{Key: name, Value: strings.ReplaceAll(one.values[name], "%", "%%")},
				AppendAction: one.action, KeepEmptyValue: true,
			})
		}
	}
	return out
}
