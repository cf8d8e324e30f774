package translate_test

import (
	"fmt"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/proto"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/translate"
)

func find[M proto.Message](t *testing.T, resources []translate.Resource, typeURL, name string) M {
	t.Helper()
	for _, one := range resources {
		if one.Type == typeURL && one.Name == name {
			return one.Message.(M)
		}
	}
	t.Fatalf("there is no %s %q", typeURL, name)
	panic("unreachable")
}

func TestAScopeOfAnUndeclaredServiceSeesNothing(t *testing.T) {
	view := (&input{}).view()
	if resources, problems := translate.Build(view, translate.ScopeOf(mesh.Proxy{Service: "ghost"}), translate.Trust{}); len(resources)+len(problems) > 0 {
		t.Errorf("got %v %v", resources, problems)
	}
	if got := translate.Endpoints(view, "ghost"); len(got) > 0 {
		t.Errorf("got %v", got)
	}
}

func TestStaleInstancesStayInService(t *testing.T) {
	c := catalog.New(catalog.Config{})
	orders := service("orders", mesh.HTTP)
	one := instanceAt("orders", "orders-1", "10.0.0.1", 80)
	c.Apply(1, true, []mesh.Change{{Service: &orders}, {Instance: &one}})
	c.Apply(2, true, []mesh.Change{{Instance: &one, Deleted: true}}) // its lease ended, and it was the last
	endpoints := translate.Endpoints(c.View(), "orders")[0].Message.(*endpointv3.ClusterLoadAssignment)
	if len(endpoints.Endpoints) != 1 || len(endpoints.Endpoints[0].LbEndpoints) != 1 {
		t.Errorf("got %v", endpoints)
	}
	again := instanceAt("orders", "orders-2", "10.0.0.1", 80) // its successor at the same address
	again.Meta.Revision = 3
	c.Apply(3, true, []mesh.Change{{Instance: &again}})
	endpoints = translate.Endpoints(c.View(), "orders")[0].Message.(*endpointv3.ClusterLoadAssignment)
	if len(endpoints.Endpoints[0].LbEndpoints) != 1 {
		t.Errorf("one address twice: %v", endpoints)
	}
}

// TestPatternsLetThroughFitEnvoy draws the line of validation from its far side:
// the largest patterns that pass must be ones that Envoy takes.
func TestPatternsLetThroughFitEnvoy(t *testing.T) {
	web, orders := service("web", mesh.HTTP, "orders"), service("orders", mesh.HTTP)
	for _, unit := range []string{"a", "[a-z]", ".", "é", `[^é]`, `\pL`, `(?i)k`, "[ऀ-𐿿]", `\PN`, `(a|bc)?`, `(?i)[à-þ]`, `\w\s`} {
		largest := 0
		for n := 1; n <= 1000; n = n*5/4 + 1 {
			orders.Routes = []mesh.RouteRule{{Match: mesh.RequestMatch{Path: &mesh.PathMatch{Regex: fmt.Sprintf("(%s){%d}", unit, n)}}}}
			if len(orders.Validate()) > 0 {
				break
			}
			largest = n
		}
		if largest == 0 {
			t.Errorf("%s is never let through", unit)
			continue
		}
		orders.Routes = []mesh.RouteRule{{Match: mesh.RequestMatch{Path: &mesh.PathMatch{Regex: fmt.Sprintf("(%s){%d}", unit, largest)}}}}
		resources, _ := translate.Build((&input{Services: []mesh.Service{web, orders}}).view(), translate.ScopeOf(mesh.Proxy{Service: "web"}), translate.Trust{})
		if _, err := envoytest.Judge(t, static(t, resources)); err != nil {
			t.Errorf("(%s){%d} was let through, and Envoy refuses it: %v", unit, largest, err)
		}
		t.Logf("(%s){%d}", unit, largest)
	}
}

// TestPatternsAreOfTheLanguageThatEnvoyKnows: Go's regexp and RE2 are not quite
// one language, and validation has to know where they part.
func TestPatternsAreOfTheLanguageThatEnvoyKnows(t *testing.T) {
	web, orders := service("web", mesh.HTTP, "orders"), service("orders", mesh.HTTP)
	for pattern, taken := range map[string]bool{
		`\x{100}`: false, `a\\\x{ffff}`: false, `\p{Letter}`: false, `\P{^greek}`: false, `[\p{LC}]`: false,
		`\x{FF}\x41`: true, `\\x{100}`: true, `\Q\x{100}\E`: true, `\p{Greek}\P{^Lu}\pN\p{Any}`: true, `(?<a>x)(?P<b>y)`: true,
	} {
		orders.Routes = []mesh.RouteRule{{Match: mesh.RequestMatch{Path: &mesh.PathMatch{Regex: pattern}}}}
		if faults := orders.Validate(); taken != (len(faults) == 0) {
			t.Errorf("%s: faults %v", pattern, faults)
		}
		resources, _ := translate.Build((&input{Services: []mesh.Service{web, orders}}).view(), translate.ScopeOf(mesh.Proxy{Service: "web"}), translate.Trust{})
		if _, err := envoytest.Judge(t, static(t, resources)); taken != (err == nil) {
			t.Errorf("%s: Envoy says %v", pattern, err)
		}
	}
}

// TestEndpointsKeepLabelsThatNoSubsetNamesAnyMore: endpoints reach callers whose
// clusters and routes still choose by a subset that has just been taken away.
// Without its labels they found nobody, and answered 503.
func TestEndpointsKeepLabelsThatNoSubsetNamesAnyMore(t *testing.T) {
	one := instanceAt("orders", "orders-1", "10.0.0.1", 80)
	one.Labels = map[string]string{"v": "1", "build": "1"}
	of := func(subsets ...mesh.Subset) proto.Message {
		orders := service("orders", mesh.HTTP)
		orders.Subsets = subsets
		return translate.Endpoints((&input{Services: []mesh.Service{orders}, Instances: []mesh.Instance{one}}).view(), "orders")[0].Message
	}
	before, after := of(mesh.Subset{Name: "v1", Labels: map[string]string{"v": "1"}}), of()
	if !proto.Equal(before, after) {
		t.Errorf("%v\n%v", before, after)
	}
}

func TestDNSClustersSettle(t *testing.T) {
	pods := service("pods", mesh.HTTP)
	pods.Endpoints.DNS = &mesh.DNSEndpoints{Host: "pods.default.svc.cluster.local"}
	resources, _ := translate.Build((&input{Services: []mesh.Service{service("web", mesh.HTTP, "pods"), pods}}).view(), translate.ScopeOf(mesh.Proxy{Service: "web"}), translate.Trust{})
	if got := find[*clusterv3.Cluster](t, resources, translate.TypeCluster, "pods"); got.GetClusterType().GetName() != "envoy.clusters.dns" {
		t.Errorf("got %v", got)
	}
	for _, one := range resources {
		if settles := one.Name == "pods"; settles != (one.Settle > 0) {
			t.Errorf("%s %s settles for %s", one.Type, one.Name, one.Settle)
		}
	}
}
