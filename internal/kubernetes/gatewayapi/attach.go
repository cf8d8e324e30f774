package gatewayapi

import (
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	gw "sigs.k8s.io/gateway-api/apis/v1"
)

// parent is the Gateway that a route refers to, if it is ours.
func (t *translation) parent(r *route, ref gw.ParentReference) *gateway {
	if ref.Group != nil && *ref.Group != gw.GroupName || ref.Kind != nil && *ref.Kind != "Gateway" {
		return nil
	}
	at := types.NamespacedName{Namespace: r.Namespace, Name: string(ref.Name)}
	if ref.Namespace != nil {
		at.Namespace = string(*ref.Namespace)
	}
	return t.gateways[at]
}

// hosts attaches a route to the listeners that a parent reference means, and gives
// what it is served for, or says why none of them takes it.
func (t *translation) hosts(r *route, g *gateway, ref gw.ParentReference) (served, fault) {
	out, unsupported := served{}, t.unsupported(r)
	why := fault{string(gw.RouteReasonNoMatchingParent), "the Gateway has no such listener"}
	taken := false
	for _, l := range g.listeners {
		if ref.SectionName != nil && *ref.SectionName != l.Name || ref.Port != nil && *ref.Port != l.Port {
			continue
		}
		if !l.allows(g, r.kind, r.Namespace, t.Namespaces) {
			if why.reason == string(gw.RouteReasonNoMatchingParent) {
				why = fault{string(gw.RouteReasonNotAllowedByListeners), fmt.Sprintf("listener %q takes no %s from namespace %s (allowedRoutes)", l.Name, r.kind, r.Namespace)}
			}
			continue
		}
		hosts := r.hostsOn(l)
		if len(hosts) == 0 {
			why = fault{string(gw.RouteReasonNoMatchingListenerHostname), fmt.Sprintf("none of the route's hostnames is one of listener %q, which has %s", l.Name, l.hostname())}
			continue
		}
		taken = true
		if unsupported.reason != "" {
			continue
		}
		l.attached++
		if l.usable() {
			out.add(served{place{l.scheme, l.Port}: hosts})
		}
	}
	if taken {
		return out, unsupported
	}
	return nil, why
}

// hostsOn are the hosts that a route and a listener have in common.
func (r *route) hostsOn(l *listener) []string {
	if len(r.hostnames) == 0 {
		return []string{onAll(l.hostname())}
	}
	var out []string
	for _, one := range r.hostnames {
		if host, is := common(l.hostname(), string(one)); is {
			out = append(out, host)
		}
	}
	return out
}
