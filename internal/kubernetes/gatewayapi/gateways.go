package gatewayapi

import (
	"cmp"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gw "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// gateway is a Gateway that is ours.
type gateway struct {
	*gw.Gateway

	mesh      mesh.ServiceName
	listeners []*listener
}

// readGateways finds the Gateways that are ours, and judges their listeners.
func (t *translation) readGateways() {
	for i := range t.Classes {
		class := &t.Classes[i]
		if class.Spec.ControllerName != ControllerName {
			continue
		}
		said := after(class.Status.Conditions, class.Generation)
		var wrong fault
		if class.Spec.ParametersRef != nil {
			wrong = fault{string(gw.GatewayClassReasonInvalidParameters), "spec.parametersRef: this controller takes no parameters"}
		}
		said.tell(string(gw.GatewayClassConditionStatusAccepted), wrong, string(gw.GatewayClassReasonAccepted))
		status := class.Status.DeepCopy()
		status.Conditions, status.SupportedFeatures = said.list, supportedFeatures()
		t.result.Statuses.Classes[class.Name] = *status
	}
	for _, g := range t.ours() {
		at := nameOf(g)
		one := &gateway{Gateway: g, mesh: GatewayName(t.Cluster, at)}
		for j := range g.Spec.Listeners {
			one.listeners = append(one.listeners, t.listener(g, &g.Spec.Listeners[j]))
		}
		one.conflicts()
		one.ports()
		t.gateways[at] = one
	}
}

// ours are the Gateways of our classes.
func (s *Snapshot) ours() []*gw.Gateway {
	classes := map[gw.ObjectName]bool{}
	for i := range s.Classes {
		if spec := &s.Classes[i].Spec; spec.ControllerName == ControllerName && spec.ParametersRef == nil {
			classes[gw.ObjectName(s.Classes[i].Name)] = true
		}
	}
	var out []*gw.Gateway
	for i := range s.Gateways {
		if g := &s.Gateways[i]; classes[g.Spec.GatewayClassName] && g.DeletionTimestamp.IsZero() {
			out = append(out, g)
		}
	}
	return out
}

// conflicts finds listeners that cannot be told from each other. The earlier is no
// better than the later.
func (g *gateway) conflicts() {
	for i, a := range g.listeners {
		for _, b := range g.listeners[i+1:] {
			if a.Port != b.Port {
				continue
			}
			var reason string
			switch {
			case a.Protocol != b.Protocol:
				reason = string(gw.ListenerReasonProtocolConflict)
			case a.hostname() == b.hostname():
				reason = string(gw.ListenerReasonHostnameConflict)
			default:
				continue
			}
			a.conflict.first(reason, fmt.Sprintf("listener %q has port %d too", b.Name, b.Port))
			b.conflict.first(reason, fmt.Sprintf("listener %q has port %d too", a.Name, a.Port))
		}
	}
}

// ports gives a gateway its one port of each scheme: that of the first listener.
func (g *gateway) ports() {
	taken := map[mesh.Scheme]gw.PortNumber{}
	for _, l := range g.listeners {
		if l.accepted.reason != "" || l.conflict.reason != "" {
			continue
		}
		if port, has := taken[l.scheme]; has && port != l.Port {
			l.accepted.first(string(gw.ListenerReasonPortUnavailable), fmt.Sprintf("a gateway has one port for %s, and listener with port %d came first", l.scheme, port))
			continue
		}
		taken[l.scheme] = l.Port
	}
}

// usable says whether a listener takes requests.
func (l *listener) usable() bool {
	return l.accepted.reason == "" && l.conflict.reason == "" && l.resolved.reason == ""
}

// plan is what the gateway needs of its proxies.
func (g *gateway) plan() Gateway {
	out := Gateway{NamespacedName: nameOf(g), Mesh: g.mesh}
	for _, l := range g.listeners {
		switch {
		case !l.usable():
		case l.scheme == mesh.PlainHTTP:
			out.HTTPPort = mesh.Port(l.Port)
		default:
			out.HTTPSPort = mesh.Port(l.Port)
			for _, one := range l.certificates {
				if !slices.Contains(out.Certificates, one) {
					out.Certificates = append(out.Certificates, one)
				}
			}
		}
	}
	return out
}

// tellGateways says what became of the gateways, once the routes have attached.
func (t *translation) tellGateways() {
	for _, at := range slices.SortedFunc(mapKeys(t.gateways), func(a, b types.NamespacedName) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	}) {
		g := t.gateways[at]
		if plan := g.plan(); plan.HTTPPort != 0 || plan.HTTPSPort != 0 {
			t.result.Gateways = append(t.result.Gateways, plan)
		}
		t.result.Statuses.Gateways[at] = g.tell(t.Addresses[at], t.MadeFor[at])
	}
}

func (g *gateway) tell(addresses []gw.GatewayStatusAddress, made []string) gw.GatewayStatus {
	status := *g.Status.DeepCopy()
	status.Addresses, status.Listeners = addresses, nil
	said := after(g.Status.Conditions, g.Generation)
	var unaccepted, unprogrammed fault
	if len(g.Spec.Addresses) > 0 {
		unaccepted.first(string(gw.GatewayReasonUnsupportedAddress), "spec.addresses: a Gateway gets the addresses of its Service: leave it out")
	}
	if len(addresses) == 0 {
		unprogrammed.first(string(gw.GatewayReasonAddressNotAssigned), "its Service has no address yet")
	}
	usable, invalid := 0, 0
	for _, l := range g.listeners {
		if l.usable() {
			usable++
		}
		if l.accepted.reason != "" || l.conflict.reason != "" {
			invalid++
		}
		lacks := unprogrammed
		if missing := l.lacks(made, g.Gateway); l.usable() {
			lacks.first(missing.reason, missing.message)
		}
		status.Listeners = append(status.Listeners, l.tell(g.was(l.Name), g.Generation, lacks))
	}
	if p := g.Spec.Infrastructure; p != nil && p.ParametersRef != nil {
		unaccepted.first(string(gw.GatewayReasonInvalidParameters), "spec.infrastructure.parametersRef: this controller takes no parameters: leave it out")
	}
	if usable == 0 {
		unprogrammed = fault{string(gw.GatewayReasonInvalid), "none of its listeners can be served"}
	}
	if invalid == len(g.listeners) {
		unaccepted.first(string(gw.GatewayReasonListenersNotValid), "none of its listeners is valid")
	}
	fine := string(gw.GatewayReasonAccepted)
	if invalid > 0 {
		fine = string(gw.GatewayReasonListenersNotValid)
	}
	if unaccepted.reason == "" { // nothing else tells people the name
		said.set(string(gw.GatewayConditionAccepted), true, fine, fmt.Sprintf("in the mesh it is %s; what runs it is printed by heddle operator gateway %s --namespace %s", g.mesh, g.Name, g.Namespace))
	} else {
		said.tell(string(gw.GatewayConditionAccepted), unaccepted, fine)
	}
	said.tell(string(gw.GatewayConditionProgrammed), unprogrammed, string(gw.GatewayReasonProgrammed))
	status.Conditions = said.list
	return status
}

// was is what the status said of a listener.
func (g *gateway) was(name gw.SectionName) []metav1.Condition {
	for _, one := range g.Status.Listeners {
		if one.Name == name {
			return one.Conditions
		}
	}
	return nil
}
