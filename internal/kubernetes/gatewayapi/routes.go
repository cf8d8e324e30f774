package gatewayapi

import (
	"cmp"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gw "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// route is an HTTPRoute or a GRPCRoute.
type route struct {
	metav1.Object

	Namespace string
	kind      gw.Kind
	parents   []gw.ParentReference
	hostnames []gw.Hostname
	rules     []rule
	status    *gw.RouteStatus // as it is
	order     int64           // of its first match
}

func (r *route) object() Object { return Object{r.kind, nameOf(r)} }

// readRoutes gives all routes, the oldest first, as the Gateway API has them win.
func (t *translation) readRoutes() []*route {
	var all []*route
	for i := range t.HTTPRoutes {
		in := &t.HTTPRoutes[i]
		r := &route{Object: in, kind: httpRoute, parents: in.Spec.ParentRefs, hostnames: in.Spec.Hostnames, status: &in.Status.RouteStatus}
		for j := range in.Spec.Rules {
			r.rules = append(r.rules, httpRule(&in.Spec.Rules[j]))
		}
		all = append(all, r)
	}
	for i := range t.GRPCRoutes {
		in := &t.GRPCRoutes[i]
		r := &route{Object: in, kind: grpcRoute, parents: in.Spec.ParentRefs, hostnames: in.Spec.Hostnames, status: &in.Status.RouteStatus}
		for j := range in.Spec.Rules {
			r.rules = append(r.rules, grpcRule(&in.Spec.Rules[j]))
		}
		all = append(all, r)
	}
	all = slices.DeleteFunc(all, func(r *route) bool { return r.GetDeletionTimestamp() != nil })
	slices.SortFunc(all, func(a, b *route) int {
		return cmp.Or(
			cmp.Compare(a.GetCreationTimestamp().Unix(), b.GetCreationTimestamp().Unix()),
			cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()), cmp.Compare(a.kind, b.kind),
		)
	})
	var second, among int64
	for _, r := range all {
		r.Namespace = r.GetNamespace()
		if created := r.GetCreationTimestamp().Unix(); created != second {
			second, among = created, 0
		}
		r.order = max(0, second)<<20 | min(among, 1023)<<10
		among++
	}
	return all
}

// attach has a route's parents take it, and says of each how that went.
func (t *translation) attach(r *route) {
	// What others said, and we of parents that are gone, is not ours to keep.
	status := gw.RouteStatus{Parents: []gw.RouteParentStatus{}}
	before := map[string][]metav1.Condition{}
	for _, one := range r.status.Parents {
		if one.ControllerName == ControllerName {
			before[parentKey(one.ParentRef)] = one.Conditions
		} else {
			status.Parents = append(status.Parents, one)
		}
	}
	serving := map[*gateway]served{}
	var order []*gateway
	for _, ref := range r.parents {
		g := t.parent(r, ref)
		if g == nil {
			continue
		}
		hosts, accepted := t.hosts(r, g, ref)
		if serving[g] == nil {
			serving[g] = served{}
			order = append(order, g)
		}
		if accepted.reason == "" {
			serving[g].add(hosts)
		}
		said := after(before[parentKey(ref)], r.GetGeneration())
		said.tell(string(gw.RouteConditionAccepted), accepted, string(gw.RouteReasonAccepted))
		said.tell(string(gw.RouteConditionResolvedRefs), t.unresolved(r), string(gw.RouteReasonResolvedRefs))
		status.Parents = append(status.Parents, gw.RouteParentStatus{ParentRef: ref, ControllerName: ControllerName, Conditions: said.list})
	}
	for _, g := range order {
		t.serve(r, g, serving[g])
	}
	if len(status.Parents) > 0 || len(before) > 0 {
		t.result.Statuses.Routes[r.object()] = status
	}
}

// parentKey tells a route's parents apart.
func parentKey(p gw.ParentReference) string {
	key := ""
	if p.Namespace != nil {
		key = string(*p.Namespace)
	}
	key += "/" + string(p.Name) + "/"
	if p.SectionName != nil {
		key += string(*p.SectionName)
	}
	if p.Port != nil {
		key += "/" + strconv.Itoa(int(*p.Port))
	}
	return key
}

// served are the hosts that a route has on a gateway, by scheme and port.
type served map[place][]string

type place struct {
	scheme mesh.Scheme
	port   gw.PortNumber
}

func (s served) add(more served) {
	for at, hosts := range more {
		for _, one := range hosts {
			if !slices.Contains(s[at], one) {
				s[at] = append(s[at], one)
			}
		}
	}
}

// unresolved is the first of a route's references that leads nowhere.
func (t *translation) unresolved(r *route) fault {
	for i := range r.rules {
		rule := &r.rules[i]
		for _, ref := range rule.backends {
			if _, why := t.backend(r, ref.BackendObjectReference); why.reason != "" {
				return why
			}
		}
		if rule.mirror != nil {
			if _, why := t.backend(r, rule.mirror.BackendRef); why.reason != "" {
				return why
			}
		}
	}
	return fault{}
}
