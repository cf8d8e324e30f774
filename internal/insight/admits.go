package insight

import (
	"strings"

	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	httprbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	netrbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"

	"github.com/heddle-mesh/heddle/internal/translate"
)

// admits reads a filter of the kind that sidecars check callers by: whether it lets
// in whoever has a SPIFFE ID, with a token of its own where there are tokens, and
// whether it refuses the others or only counts them.
func admits(sent *resources, filter, id string) (let, enforced bool) {
	config, _, there := find[*corev3.TypedExtensionConfig](sent, translate.TypeExtension, filter)
	if !there {
		return true, false
	}
	http, tcp := &httprbacv3.RBAC{}, &netrbacv3.RBAC{}
	if config.GetTypedConfig().UnmarshalTo(http) == nil {
		if http.GetRules() != nil || http.GetMatcher() != nil {
			return listed(http.GetRules(), id) || inTree(http.GetMatcher(), id), true
		}
		return listed(http.GetShadowRules(), id) || inTree(http.GetShadowMatcher(), id), false
	}
	if config.GetTypedConfig().UnmarshalTo(tcp) != nil {
		return true, false
	}
	if tcp.GetRules() != nil {
		return listed(tcp.GetRules(), id), true
	}
	return listed(tcp.GetShadowRules(), id), false
}

func listed(rules *rbacv3.RBAC, id string) bool {
	for name, policy := range rules.GetPolicies() {
		if strings.Contains(name, " ") { // that of health checks, which nobody is called like
			continue
		}
		for _, principal := range policy.GetPrincipals() {
			if isPrincipal(principal, id) {
				return true
			}
		}
	}
	return false
}

func isPrincipal(p *rbacv3.Principal, id string) bool {
	switch by := p.GetIdentifier().(type) {
	case *rbacv3.Principal_Authenticated_:
		return says(by.Authenticated.GetPrincipalName(), id)
	case *rbacv3.Principal_AndIds:
		for _, one := range by.AndIds.GetIds() {
			if !isPrincipal(one, id) {
				return false
			}
		}
		return true
	case *rbacv3.Principal_SourcedMetadata: // the token's sub
		return says(by.SourcedMetadata.GetMetadataMatcher().GetValue().GetStringMatch(), id)
	}
	return false
}

// inTree looks a caller up in the form that filters of services with many callers have.
func inTree(m *xdsmatcherv3.Matcher, id string) bool {
	if _, is := m.GetMatcherTree().GetExactMatchMap().GetMap()[id]; is {
		return true
	}
	for _, one := range m.GetOnNoMatch().GetMatcher().GetMatcherList().GetMatchers() {
		prefix := one.GetPredicate().GetSinglePredicate().GetValueMatch().GetPrefix()
		if prefix != "" && strings.HasPrefix(id, prefix) {
			return true
		}
	}
	return false
}
