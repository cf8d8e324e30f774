package mesh_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestKubernetesEndpoints(t *testing.T) {
	const at = "endpoints.kubernetes"
	prod := []string{"prod"}
	for name, c := range map[string]struct {
		endpoints mesh.Endpoints
		want      []string
	}{
		"the least":  {mesh.Endpoints{Kubernetes: &mesh.KubernetesEndpoints{Clusters: prod, Namespace: "shop"}}, nil},
		"a selector": {mesh.Endpoints{Kubernetes: &mesh.KubernetesEndpoints{Clusters: prod, Namespace: "shop", Selector: map[string]string{"app.kubernetes.io/name": "Orders", "tier": ""}, Port: "http"}}, nil},
		"dns":        {mesh.Endpoints{Kubernetes: &mesh.KubernetesEndpoints{Namespace: "shop", Discovery: mesh.KubernetesDNS, Port: "8080", ClusterDomain: "k8s.example.com"}}, nil},
		"accounts":   {mesh.Endpoints{Kubernetes: &mesh.KubernetesEndpoints{Clusters: prod, Namespace: "shop", ServiceAccounts: []string{"orders", "orders.v2-x"}}}, nil},
		"no accounts": {mesh.Endpoints{Kubernetes: &mesh.KubernetesEndpoints{Clusters: prod, Namespace: "shop", ServiceAccounts: []string{"", "Orders", "orders", "orders", "-x", strings.Repeat("x", 254), "shop/orders"}}}, []string{
			at + `.serviceAccounts[0]: "" is no name`, at + ".serviceAccounts[1]: ", at + ".serviceAccounts[3]: ", at + ".serviceAccounts[4]: ", at + ".serviceAccounts[5]: ", at + ".serviceAccounts[6]: ",
		}},
		"too many accounts":      {mesh.Endpoints{Kubernetes: &mesh.KubernetesEndpoints{Clusters: prod, Namespace: "shop", ServiceAccounts: make([]string, 101)}}, []string{at + ".serviceAccounts: has 101 entries"}},
		"accounts of no cluster": {mesh.Endpoints{Kubernetes: &mesh.KubernetesEndpoints{Namespace: "shop", Discovery: mesh.KubernetesDNS, ServiceAccounts: []string{"orders"}}}, []string{at + ".serviceAccounts: needs clusters"}},
		"nothing":                {mesh.Endpoints{Kubernetes: &mesh.KubernetesEndpoints{}}, []string{at + ".clusters: is required", at + ".namespace: is required"}},
		"beside dns":             {mesh.Endpoints{DNS: &mesh.DNSEndpoints{Host: "a.example.com"}, Kubernetes: &mesh.KubernetesEndpoints{Clusters: prod, Namespace: "shop"}}, []string{"endpoints: has kubernetes beside"}},
		"all wrong": {mesh.Endpoints{Kubernetes: &mesh.KubernetesEndpoints{Clusters: []string{"a", "A", "a"}, Namespace: "../x", Service: "Web", Selector: map[string]string{"a b": "c", "d": "-"}, Port: "70000", Discovery: "udp", ClusterDomain: "x"}}, []string{
			at + `.clusters[1]: "A" is not`, at + `.clusters[2]: "a" is listed already`, at + ".namespace: ", at + ".service: ", at + `.discovery: "udp"`, at + ".selector: contradicts service",
			at + ".selector.a b: ", at + ".selector.d: ", at + `.port: "70000" is not a port`, at + ".clusterDomain: is for discovery: dns",
		}},
		"wrong for dns": {mesh.Endpoints{Kubernetes: &mesh.KubernetesEndpoints{Namespace: "shop", Selector: map[string]string{"a": "b"}, Port: "http", Discovery: mesh.KubernetesDNS, ClusterDomain: "10.0.0.1"}}, []string{
			at + ".selector: is not for", at + ".port: has to be a number", at + ".clusterDomain: ",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := goodDeclaration()
			s.Endpoints = c.endpoints
			got := texts(s.Validate())
			if len(got) != len(c.want) {
				t.Fatalf("%s", strings.Join(got, "\n"))
			}
			for i, want := range c.want {
				if !strings.HasPrefix(got[i], want) {
					t.Errorf("%q, want %q", got[i], want)
				}
			}
		})
	}
}

func TestKeepers(t *testing.T) {
	type is struct{ valid, instances, objects bool }
	for keeper, want := range map[mesh.Keeper]is{
		"kubernetes": {true, false, false}, "kubernetes/prod": {true, true, false}, "kubernetes/prod/shop": {true, false, false}, "kubernetes/prod/shop/web": {true, false, true},
		"": {}, "prod": {}, "kubernetes/": {}, "kubernetes/prod/": {}, "kubernetes//web": {}, "kubernetes/prod/shop/web/x": {}, "kubernetes/Prod": {}, "Kubernetes/prod": {}, "/kubernetes": {},
	} {
		if got := (is{keeper.Fault() == "", keeper.OfInstances(), keeper.OfObjects()}); got != want {
			t.Errorf("%q: %s", keeper, cmp.Diff(want, got))
		}
	}
	for _, c := range []struct {
		keeper mesh.Keeper
		name   string
		want   bool
	}{
		{mesh.GatewayAPIKeeper("prod", "shop"), "http-route-1", true}, {mesh.GatewayAPIKeeper("prod", "shop"), "gateway-api", false},
		{"kubernetes/prod/gateway-api", "web", false}, {"kubernetes/prod/gateway-api/web", "web", false}, {"kubernetes/prod/shop/my-gateway-api", "web", false}, {"", "web", false},
	} {
		if got := c.keeper.OfGatewayAPI(c.name); got != c.want {
			t.Errorf("%q keeps %q for the Gateway API: %v", c.keeper, c.name, got)
		}
	}
	for _, c := range []struct {
		above, below mesh.Keeper
		want         bool
	}{
		{"kubernetes/prod", "kubernetes/prod", true}, {"kubernetes/prod", "kubernetes/prod/shop/web", true}, {"kubernetes", "kubernetes/prod", true},
		{"kubernetes/prod", "kubernetes/production", false}, {"kubernetes/prod", "kubernetes/prod2/shop/web", false}, {"kubernetes/prod/shop", "kubernetes/prod", false}, {"", "kubernetes/prod", false}, {"kubernetes/prod", "", false},
	} {
		if got := c.above.Covers(c.below); got != c.want {
			t.Errorf("%q covers %q: %v", c.above, c.below, got)
		}
	}
}

// Two pods whose names are too long for the mesh are two instances, always the same.
func TestPodInstances(t *testing.T) {
	long := strings.Repeat("a", 63)
	one, other := mesh.PodInstance(long+"-1", long, "prod"), mesh.PodInstance(long+"-1", long, "stage")
	if one == other || one != mesh.FitInstanceID(long+"-1."+long+".prod") || mesh.FitInstanceID(string(one)) != one {
		t.Errorf("they are %q and %q", one, other)
	}
	for _, id := range []mesh.InstanceID{one, other, mesh.PodInstance("orders-1", "shop", "prod")} {
		fits := mesh.Instance{ID: id, Service: "orders", Address: "10.0.0.1", Port: 80}
		if faults := fits.Validate(); len(faults) > 0 {
			t.Errorf("%q: %v", id, faults)
		}
	}
	if got := mesh.PodInstance("orders-1", "shop", "prod"); got != "orders-1.shop.prod" {
		t.Errorf("a short one is %q", got)
	}
}
