package operator

import (
	"context"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/heddle-mesh/heddle/internal/kubernetes/v1alpha1"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// kind is a kind of custom resource.
type kind string

const (
	serviceKind  kind = "MeshService"
	upstreamKind kind = "Upstream"
	routeKind    kind = "MeshRoute"
)

// sharing are the kinds whose objects have their names in common.
func (k kind) sharing() []kind {
	if k == routeKind {
		return []kind{routeKind}
	}
	return []kind{serviceKind, upstreamKind}
}

// noun is what the registry calls it.
func (k kind) noun() string {
	if k == routeKind {
		return "route"
	}
	return "service"
}

func (k kind) empty() v1alpha1.Object {
	switch k {
	case serviceKind:
		return &v1alpha1.MeshService{}
	case upstreamKind:
		return &v1alpha1.Upstream{}
	}
	return &v1alpha1.MeshRoute{}
}

// String writes "upstream shop/payments".
func (o object) String() string {
	return strings.ToLower(string(o.kind)) + " " + o.NamespacedName.String()
}

func objectMeta(o object) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: o.Namespace, Name: o.Name}
}

// named lists the objects of a name, in all namespaces.
func (c *objects) named(ctx context.Context, k kind, name string) ([]*v1alpha1.Declared, error) {
	var out []*v1alpha1.Declared
	where := ctrl.MatchingFields{objectName: name}
	var err error
	switch k {
	case serviceKind:
		var list v1alpha1.MeshServiceList
		err = c.client.List(ctx, &list, where)
		for i := range list.Items {
			out = append(out, list.Items[i].Common())
		}
	case upstreamKind:
		var list v1alpha1.UpstreamList
		err = c.client.List(ctx, &list, where)
		for i := range list.Items {
			out = append(out, list.Items[i].Common())
		}
	case routeKind:
		var list v1alpha1.MeshRouteList
		err = c.client.List(ctx, &list, where)
		for i := range list.Items {
			out = append(out, list.Items[i].Common())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("list each %s %q: %w", k, name, err)
	}
	return out, nil
}

// namesIn lists the names of a kind's objects in a namespace.
func (c *objects) namesIn(ctx context.Context, k kind, namespace string) ([]string, error) {
	var out []string
	if k == upstreamKind {
		var list v1alpha1.UpstreamList
		err := c.client.List(ctx, &list, ctrl.InNamespace(namespace))
		for i := range list.Items {
			out = append(out, list.Items[i].Name)
		}
		return out, err
	}
	var list v1alpha1.MeshServiceList
	err := c.client.List(ctx, &list, ctrl.InNamespace(namespace))
	for i := range list.Items {
		out = append(out, list.Items[i].Name)
	}
	return out, err
}

// rival names the object that has the same name and came first, or "". The API server
// tells when objects were made to the second: of those of one second it is the one that
// the registry has.
func (c *objects) rival(ctx context.Context, o object, own *v1alpha1.Declared) (string, error) {
	first, name, holder := own, "", c.written(o).keeper
	for _, k := range o.kind.sharing() {
		all, err := c.named(ctx, k, o.Name)
		if err != nil {
			return "", err
		}
		for _, other := range all {
			if other.UID != own.UID && other.DeletionTimestamp.IsZero() && c.older(other, first, holder) {
				first, name = other, object{k, types.NamespacedName{Namespace: other.Namespace, Name: other.Name}}.String()
			}
		}
	}
	return name, nil
}

func (c *objects) older(a, b *v1alpha1.Declared, holder mesh.Keeper) bool {
	ofA, ofB := a.Keeper(c.cluster), b.Keeper(c.cluster)
	switch {
	case !a.CreationTimestamp.Equal(&b.CreationTimestamp):
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	case ofA != ofB && (holder == ofA || holder == ofB):
		return holder == ofA
	}
	return a.UID < b.UID
}

// sameKeeper says whether an object of another kind speaks for the same name with the
// same keeper: a MeshService and an Upstream of one name in one namespace.
func (c *objects) sameKeeper(ctx context.Context, o object) bool {
	for _, k := range o.kind.sharing() {
		if k == o.kind {
			continue
		}
		other := k.empty()
		if err := c.client.Get(ctx, o.NamespacedName, other); err == nil && other.GetDeletionTimestamp().IsZero() {
			return true
		}
	}
	return false
}

// wait notes whether an object waits for its name.
func (c *objects) wait(o object, waits bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := o.target()
	if !waits {
		delete(c.waiting[at], o)
		if len(c.waiting[at]) == 0 {
			delete(c.waiting, at)
		}
		return
	}
	if c.waiting[at] == nil {
		c.waiting[at] = map[object]bool{}
	}
	c.waiting[at][o] = true
}

// concerned are the objects to look at when something of a name changed in the
// registry or in the cluster.
func (c *objects) concerned(at target, keepers ...mesh.Keeper) []object {
	var out []object
	c.mu.Lock()
	for one := range c.waiting[at] {
		out = append(out, one)
	}
	c.mu.Unlock()
	for _, keeper := range keepers {
		if keeper.Cluster() != c.cluster || !keeper.OfObjects() {
			continue
		}
		parts := strings.Split(string(keeper), "/")
		for _, k := range []kind{serviceKind, upstreamKind, routeKind} {
			if k.noun() == at.noun {
				out = append(out, object{k, types.NamespacedName{Namespace: parts[2], Name: parts[3]}})
			}
		}
	}
	return out
}
