package gatewayapi

import gw "sigs.k8s.io/gateway-api/apis/v1"

// granted says whether an object may refer to one of another namespace.
func (s *Snapshot) granted(fromGroup gw.Group, fromKind gw.Kind, fromNamespace string, toKind gw.Kind, toNamespace, toName string) bool {
	if fromNamespace == toNamespace {
		return true
	}
	for i := range s.Grants {
		grant := &s.Grants[i]
		if grant.Namespace != toNamespace || !admits(grant.Spec.From, fromGroup, fromKind, fromNamespace) {
			continue
		}
		for _, to := range grant.Spec.To {
			if (to.Group == "" || to.Group == "core") && to.Kind == toKind && (to.Name == nil || *to.Name == "" || string(*to.Name) == toName) {
				return true
			}
		}
	}
	return false
}

func admits(all []gw.ReferenceGrantFrom, group gw.Group, kind gw.Kind, namespace string) bool {
	for _, from := range all {
		if from.Group == group && from.Kind == kind && string(from.Namespace) == namespace {
			return true
		}
	}
	return false
}
