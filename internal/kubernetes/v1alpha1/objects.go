package v1alpha1

import (
	"encoding/json"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Group and Version are those of the custom resources.
const (
	Group   = "heddle.io"
	Version = "v1alpha1"
)

// GroupVersion is both.
var GroupVersion = schema.GroupVersion{Group: Group, Version: Version}

// Object is any of the custom resources.
type Object interface {
	client.Object
	Common() *Declared
}

// Declared is what all custom resources have.
type Declared struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   json.RawMessage `json:"spec,omitempty"` // never changed in place
	Status Status          `json:"status,omitempty"`
}

// Common gives what all custom resources have.
func (d *Declared) Common() *Declared { return d }

// Status is what the operator says of an object.
type Status struct {
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	Revision           int64              `json:"revision,omitempty"` // the registry's
	Proxies            string             `json:"proxies,omitempty"`  // "2/3": how many proxies have it
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
}

// MeshService is a declaration of a service in the mesh.
type MeshService struct {
	Declared `json:",inline"`
}

// Upstream is a service outside the mesh.
type Upstream struct {
	Declared `json:",inline"`
}

// MeshRoute exposes services to the outside on gateways.
type MeshRoute struct {
	Declared `json:",inline"`
}

// List is any list of the custom resources.
type List[T any] struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []T `json:"items"`
}

// The lists.
type (
	MeshServiceList struct {
		List[MeshService] `json:",inline"`
	}
	UpstreamList struct {
		List[Upstream] `json:",inline"`
	}
	MeshRouteList struct {
		List[MeshRoute] `json:",inline"`
	}
)

// AddToScheme makes the types known.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &MeshService{}, &MeshServiceList{}, &Upstream{}, &UpstreamList{}, &MeshRoute{}, &MeshRouteList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}

// clone shares the spec, which nobody changes.
func (d *Declared) clone() Declared {
	out := *d
	d.DeepCopyInto(&out.ObjectMeta)
	out.Status.Conditions = slices.Clone(d.Status.Conditions)
	return out
}

// DeepCopyObject copies the object.
func (o *MeshService) DeepCopyObject() runtime.Object { return &MeshService{o.clone()} }

// DeepCopyObject copies the object.
func (o *Upstream) DeepCopyObject() runtime.Object { return &Upstream{o.clone()} }

// DeepCopyObject copies the object.
func (o *MeshRoute) DeepCopyObject() runtime.Object { return &MeshRoute{o.clone()} }

// DeepCopyObject copies the list.
func (l *MeshServiceList) DeepCopyObject() runtime.Object {
	return &MeshServiceList{copied(l.List, func(o MeshService) MeshService { return MeshService{o.clone()} })}
}

// DeepCopyObject copies the list.
func (l *UpstreamList) DeepCopyObject() runtime.Object {
	return &UpstreamList{copied(l.List, func(o Upstream) Upstream { return Upstream{o.clone()} })}
}

// DeepCopyObject copies the list.
func (l *MeshRouteList) DeepCopyObject() runtime.Object {
	return &MeshRouteList{copied(l.List, func(o MeshRoute) MeshRoute { return MeshRoute{o.clone()} })}
}

func copied[T any](l List[T], clone func(T) T) List[T] {
	out := l
	l.DeepCopyInto(&out.ListMeta)
	out.Items = make([]T, len(l.Items))
	for i := range l.Items {
		out.Items[i] = clone(l.Items[i])
	}
	return out
}
