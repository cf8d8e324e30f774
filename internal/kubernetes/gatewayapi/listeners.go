package gatewayapi

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	gw "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// listener is one of a gateway, with what is wrong with it.
type listener struct {
	*gw.Listener

	scheme       mesh.Scheme
	kinds        []gw.Kind // that may attach
	certificates []types.NamespacedName
	attached     int32

	accepted, conflict, resolved fault
	unread                       string // why nobody knows whether its certificates are there
}

// The kinds of routes that listeners take.
const (
	httpRoute gw.Kind = "HTTPRoute"
	grpcRoute gw.Kind = "GRPCRoute"
)

func (l *listener) hostname() string {
	if l.Hostname == nil {
		return ""
	}
	return mesh.PlainHost(string(*l.Hostname))
}

// listener judges one by itself.
func (t *translation) listener(g *gw.Gateway, spec *gw.Listener) *listener {
	l := &listener{Listener: spec}
	switch spec.Protocol {
	case gw.HTTPProtocolType:
		l.scheme = mesh.PlainHTTP
	case gw.HTTPSProtocolType:
		l.scheme = mesh.HTTPS
		t.certificates(g, l)
	default:
		l.accepted.first(string(gw.ListenerReasonUnsupportedProtocol), fmt.Sprintf("%s is not served: use HTTP or HTTPS", spec.Protocol))
		return l
	}
	l.kinds = []gw.Kind{httpRoute, grpcRoute}
	if spec.AllowedRoutes == nil || len(spec.AllowedRoutes.Kinds) == 0 {
		return l
	}
	l.kinds = nil
	for _, one := range spec.AllowedRoutes.Kinds {
		if (one.Group == nil || *one.Group == gw.GroupName) && (one.Kind == httpRoute || one.Kind == grpcRoute) {
			l.kinds = append(l.kinds, one.Kind)
		} else {
			l.resolved.first(string(gw.ListenerReasonInvalidRouteKinds), fmt.Sprintf("allowedRoutes.kinds: %s is no kind that this listener serves: use HTTPRoute or GRPCRoute", one.Kind))
		}
	}
	return l
}

// certificates are the Secrets of a listener for HTTPS. What is in them stays with
// the proxies.
func (t *translation) certificates(g *gw.Gateway, l *listener) {
	tls := l.TLS
	if tls == nil || len(tls.CertificateRefs) == 0 {
		l.resolved.first(string(gw.ListenerReasonInvalidCertificateRef), "tls.certificateRefs is required: a Secret with a certificate")
		return
	}
	if tls.Mode != nil && *tls.Mode != gw.TLSModeTerminate {
		l.accepted.first(string(gw.ListenerReasonUnsupportedValue), fmt.Sprintf("tls.mode %s is not served: use Terminate", *tls.Mode))
	}
	for _, ref := range tls.CertificateRefs {
		at, wrong := t.certificate(g, ref)
		why, there := t.Secrets[at]
		unread := t.Unread[at]
		switch {
		case wrong.reason != "":
			l.resolved.first(wrong.reason, wrong.message)
		case unread != "":
			// The proxies have it by themselves: what is served with it stays.
			l.unread = cmp.Or(l.unread, fmt.Sprintf("Secret %s cannot be read now, which is tried again: %s", at, unread))
			l.certificates = append(l.certificates, at)
		case !there:
			l.resolved.first(string(gw.ListenerReasonInvalidCertificateRef), fmt.Sprintf("there is no Secret %s", at))
		case why != "":
			l.resolved.first(string(gw.ListenerReasonInvalidCertificateRef), fmt.Sprintf("Secret %s: %s", at, why))
		default:
			l.certificates = append(l.certificates, at)
		}
	}
}

// allows says whether routes of a kind and namespace may attach.
func (l *listener) allows(g *gateway, kind gw.Kind, namespace string, labelsOf map[string]map[string]string) bool {
	if !slices.Contains(l.kinds, kind) {
		return false
	}
	from := gw.NamespacesFromSame
	var selector *metav1.LabelSelector
	if l.AllowedRoutes != nil && l.AllowedRoutes.Namespaces != nil {
		if l.AllowedRoutes.Namespaces.From != nil {
			from = *l.AllowedRoutes.Namespaces.From
		}
		selector = l.AllowedRoutes.Namespaces.Selector
	}
	switch from {
	case gw.NamespacesFromAll:
		return true
	case gw.NamespacesFromSame:
		return namespace == g.Namespace
	case gw.NamespacesFromSelector:
		chosen, err := metav1.LabelSelectorAsSelector(selector)
		return err == nil && chosen.Matches(labels.Set(labelsOf[namespace]))
	}
	return false
}

// tell says what became of a listener.
func (l *listener) tell(before []metav1.Condition, generation int64, unprogrammed fault) gw.ListenerStatus {
	said := after(before, generation)
	if l.conflict.reason != "" {
		said.set(string(gw.ListenerConditionConflicted), true, l.conflict.reason, l.conflict.message)
	} else {
		said.set(string(gw.ListenerConditionConflicted), false, string(gw.ListenerReasonNoConflicts), "")
	}
	accepted := l.accepted
	accepted.first(l.conflict.reason, l.conflict.message)
	said.tell(string(gw.ListenerConditionAccepted), accepted, string(gw.ListenerReasonAccepted))
	if l.unread != "" && l.resolved.reason == "" {
		said.unknown(string(gw.ListenerConditionResolvedRefs), string(gw.ListenerReasonPending), l.unread)
	} else {
		said.tell(string(gw.ListenerConditionResolvedRefs), l.resolved, string(gw.ListenerReasonResolvedRefs))
	}
	switch {
	case !l.usable():
		unprogrammed = fault{string(gw.ListenerReasonInvalid), "the listener is not served: its other conditions say why"}
	case unprogrammed.reason != "":
		unprogrammed.reason = string(gw.ListenerReasonPending)
	}
	said.tell(string(gw.ListenerConditionProgrammed), unprogrammed, string(gw.ListenerReasonProgrammed))
	group := gw.Group(gw.GroupName)
	status := gw.ListenerStatus{Name: l.Name, SupportedKinds: []gw.RouteGroupKind{}, AttachedRoutes: l.attached, Conditions: said.list}
	for _, kind := range l.kinds {
		status.SupportedKinds = append(status.SupportedKinds, gw.RouteGroupKind{Group: &group, Kind: kind})
	}
	return status
}

// common is the more exact of two hosts when one covers the other. "" stands for
// every host, on either side; what a star covers, the Gateway API says as the mesh does.
func common(a, b string) (string, bool) {
	a, b = mesh.PlainHost(a), mesh.PlainHost(b)
	switch {
	case a == "":
		return b, true
	case b == "":
		return a, true
	case mesh.HostCovers(a, b):
		return b, true
	case mesh.HostCovers(b, a):
		return a, true
	}
	return "", false
}

// onAll writes a host as the mesh does.
func onAll(host string) string {
	if strings.TrimSpace(host) == "" {
		return mesh.AnyHost
	}
	return host
}
