package grpcapi

import (
	"strings"
	"unicode"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// view is what differs between the two gRPC services: which of the mesh's
// services it shows, and how the model's field paths read in its messages.
type view struct {
	noun  string // for messages; also the name of the field that holds the object in requests
	shows func(*mesh.Service) bool
	paths *strings.Replacer
}

// Each path is looked up behind a "^", so that only its beginning is replaced.
var (
	serviceView = view{
		noun:  "service",
		shows: func(*mesh.Service) bool { return true },
		paths: strings.NewReplacer("^dependencies[", "dependencies.names[", "^endpoints.static[", "endpoints.static.addresses[", "^", ""),
	}
	upstreamView = view{
		noun:  "upstream",
		shows: func(s *mesh.Service) bool { return s.Endpoints.Own() },
		paths: strings.NewReplacer("^endpoints.dns", "dns", "^endpoints.static[", "static.addresses[", "^endpoints.static", "static", "^", ""),
	}
)

// refuse says why a service that exists is not to be had through this view, or nil.
func (v *view) refuse(s *mesh.Service) error {
	if v.shows(s) {
		return nil
	}
	return mesh.NotFound("service %q is no %s: its endpoints are not part of its declaration; use ServiceService for it", s.Name, v.noun)
}

// faults puts faults of the model's object onto the request's fields.
func (v *view) faults(found mesh.Faults) mesh.Faults {
	mapped := make(mesh.Faults, len(found))
	for i, fault := range found {
		mapped[i] = mesh.Fault{Path: v.field(fault.Path), Message: fault.Message}
	}
	return mapped
}

// field turns a path of the model ("endpoints.static[0].address") into one of
// the request ("upstream.static.addresses[0].address").
func (v *view) field(path string) string {
	if path == "" {
		return v.noun
	}
	return v.noun + "." + snake(v.paths.Replace("^"+path))
}

// snake writes lowerCamelCase field names as protocol buffers do. What stands
// behind "labels." is a label's key, not a field, and stays as it is.
func snake(path string) string {
	fields, key, isLabel := strings.Cut(path, "labels.")
	var b strings.Builder
	for _, r := range fields {
		if unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	if isLabel {
		b.WriteString("labels." + key)
	}
	return b.String()
}
