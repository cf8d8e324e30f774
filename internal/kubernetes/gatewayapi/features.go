package gatewayapi

import (
	"slices"
	"strings"

	gw "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// supportedFeatures are those that GatewayClasses say they have: their official tests pass
// (test/gatewayapi).
func supportedFeatures() []gw.SupportedFeature {
	var out []gw.SupportedFeature
	for _, name := range features.SetsToNamesSet(features.GatewayCoreFeatures, features.HTTPRouteCoreFeatures, features.GRPCRouteCoreFeatures, features.ReferenceGrantCoreFeatures).UnsortedList() {
		out = append(out, gw.SupportedFeature{Name: gw.FeatureName(name)})
	}
	for _, name := range []features.FeatureName{
		features.SupportGRPCRouteNamedRouteRule, features.SupportHTTPRouteBackendProtocolH2C, features.SupportHTTPRouteBackendProtocolWebSocket,
		features.SupportHTTPRouteHostRewrite, features.SupportHTTPRouteMethodMatching, features.SupportHTTPRouteNamedRouteRule,
		features.SupportHTTPRoutePathRedirect, features.SupportHTTPRoutePathRewrite, features.SupportHTTPRoutePortRedirect,
		features.SupportHTTPRouteQueryParamMatching, features.SupportHTTPRouteRequestMirror, features.SupportHTTPRouteRequestPercentageMirror, features.SupportHTTPRouteRequestTimeout,
		features.SupportHTTPRouteResponseHeaderModification, features.SupportHTTPRouteSchemeRedirect,
	} {
		out = append(out, gw.SupportedFeature{Name: gw.FeatureName(name)})
	}
	slices.SortFunc(out, func(a, b gw.SupportedFeature) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return out
}
