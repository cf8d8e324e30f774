package manifest

import (
	"fmt"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Kind is what an object is; files name it in their field "kind".
type Kind string

// The kinds.
const (
	KindService  Kind = "Service"
	KindInstance Kind = "Instance"
	KindRoute    Kind = "Route"
	KindRuntime  Kind = "Runtime"
	kindList     Kind = "List" // only in files: its field items holds objects
)

// Object is one object of a file. The pointer that belongs to Kind is set, the others are nil.
type Object struct {
	Kind     Kind
	Service  *mesh.Service
	Instance *mesh.Instance
	Route    *mesh.Route
	Runtime  *mesh.Runtime

	File string // as the user named it
	Line int    // where the object starts

	tree *node // how it is written; nil for an object that was not read
}

// Of wraps what the API gave, so that it can be written.
func Of[T mesh.Service | mesh.Instance | mesh.Route | mesh.Runtime](value T) Object {
	switch v := any(&value).(type) {
	case *mesh.Service:
		return Object{Kind: KindService, Service: v}
	case *mesh.Instance:
		return Object{Kind: KindInstance, Instance: v}
	case *mesh.Route:
		return Object{Kind: KindRoute, Route: v}
	default:
		return Object{Kind: KindRuntime, Runtime: v.(*mesh.Runtime)}
	}
}

// Name names the object among those of its kind; an instance's is "service/id".
func (o *Object) Name() string {
	switch o.Kind {
	case KindService:
		return string(o.Service.Name)
	case KindInstance:
		return o.Instance.Key().String()
	case KindRoute:
		return string(o.Route.Name)
	}
	return ""
}

// String names the object in the mesh, e.g. "service/orders"; the runtime layer
// is "runtime".
func (o *Object) String() string {
	kind := strings.ToLower(string(o.Kind))
	if o.Kind == KindRuntime {
		return kind
	}
	return kind + "/" + o.Name()
}

// Meta gives what the registry knows about the object.
func (o *Object) Meta() *mesh.Meta {
	switch o.Kind {
	case KindService:
		return &o.Service.Meta
	case KindInstance:
		return &o.Instance.Meta
	case KindRoute:
		return &o.Route.Meta
	}
	return &o.Runtime.Meta
}

// Locate says where the field with this path is written, or its parent when the
// field itself is missing.
func (o *Object) Locate(path, message string) Fault {
	fault := Fault{File: o.File, Line: o.Line, Path: path, Message: message}
	if o.tree != nil {
		_, fault.Line, _ = o.tree.find(path)
	}
	return fault
}

// value gives the model's object.
func (o *Object) value() any {
	switch o.Kind {
	case KindService:
		return o.Service
	case KindInstance:
		return o.Instance
	case KindRoute:
		return o.Route
	}
	return o.Runtime
}

func (o *Object) validate() mesh.Faults {
	switch o.Kind {
	case KindService:
		return o.Service.Validate()
	case KindInstance:
		return o.Instance.Validate()
	case KindRoute:
		return o.Route.Validate()
	}
	return o.Runtime.Validate()
}

// newObject makes an empty object of a kind that files name, or says why not.
func newObject(kind string) (Object, string) {
	switch Kind(kind) {
	case KindService:
		return Object{Kind: KindService, Service: &mesh.Service{}}, ""
	case KindInstance:
		return Object{Kind: KindInstance, Instance: &mesh.Instance{}}, ""
	case KindRoute:
		return Object{Kind: KindRoute, Route: &mesh.Route{}}, ""
	case KindRuntime:
		return Object{Kind: KindRuntime, Runtime: &mesh.Runtime{}}, ""
	}
	wanted := "use Service, Instance, Route or Runtime"
	for _, known := range []Kind{KindService, KindInstance, KindRoute, KindRuntime, kindList} {
		given := strings.TrimSuffix(strings.ToLower(kind), "s")
		if given == strings.ToLower(string(known)) {
			wanted = fmt.Sprintf("did you mean %q?", known)
		}
	}
	return Object{}, fmt.Sprintf("%+q is not a kind: %s", cut(kind), wanted)
}
