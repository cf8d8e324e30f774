package mesh_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Of Gateways that no cluster has, which would differ from another's in the hash alone, there
// are no gateways.
func TestGatewaysOfTheGatewayAPIAreOfNamesThatAClusterHas(t *testing.T) {
	for text, want := range map[mesh.GatewayOf]bool{
		"prod/shop/web": true, "p-1/shop-1/web.shop": true, "prod/shop/0": true, mesh.GatewayOf("prod/shop/" + strings.Repeat("a", 253)): true,
		"": false, "prod": false, "prod/shop": false, "prod/shop/web/x": false, "//": false, "/shop/web": false, "prod//web": false, "prod/shop/": false,
		"prod/shop/web-": false, "prod/shop/-web": false, "prod/shop/web.": false, "prod/shop/.web": false, "prod/shop/web..x": false, "prod/shop/web.-x": false, "prod/shop/-": false, "prod/shop/.": false,
		"prod-/shop/web": false, "prod/-shop/web": false, "prod/sh.op/web": false, "pr.od/shop/web": false, "prod/shop./web": false,
		"Prod/shop/web": false, "prod/Shop/web": false, "prod/shop/Web": false, "prod/shop/wéb": false, "prod/shop/w b": false, "prod/shop/web\n": false, "prod/shop/w_b": false,
		mesh.GatewayOf("prod/shop/" + strings.Repeat("a", 254)): false, mesh.GatewayOf("prod/" + strings.Repeat("a", 64) + "/web"): false,
	} {
		if _, _, _, ok := text.Parts(); ok != want {
			t.Errorf("%q: %v", text, ok)
		}
	}
	long := regexp.MustCompile(`^gateway-.*-[0-9a-f]{24}$`)
	seen := map[mesh.ServiceName]string{}
	for _, one := range []string{"a/b/c", "a/b/c.d", "a/b/c-d", "a/b-c/d", "a-b/c/d", "a/b/c.d.e", "a/b/" + strings.Repeat("c", 253)} {
		cluster, namespace, name, _ := mesh.GatewayOf(one).Parts()
		gateway := mesh.GatewayAPIGateway(cluster, namespace, name)
		if seen[gateway] != "" || !gateway.Valid() || !long.MatchString(string(gateway)) {
			t.Errorf("%s: %s, as %q", one, gateway, seen[gateway])
		}
		seen[gateway] = one
	}
}
