package controlplane_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/heddle-mesh/heddle/internal/controlplane"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

func gatewayNode(t *testing.T, id string, fields map[string]any) *corev3.Node {
	t.Helper()
	metadata, err := structpb.NewStruct(map[string]any{"heddle": fields})
	if err != nil {
		t.Fatal(err)
	}
	return &corev3.Node{Id: id, Metadata: metadata}
}

func edgeNode(t *testing.T, id string) *corev3.Node {
	t.Helper()
	return gatewayNode(t, id, map[string]any{"profile": "gateway", "gateway": map[string]any{"httpPort": 8080.0}})
}

func routed(name string, gateways []mesh.ServiceName, services ...mesh.ServiceName) mesh.Change {
	r := &mesh.Route{Name: mesh.RouteName(name), Owner: "team-a", Hosts: []string{name + ".example"}, Gateways: gateways}
	for _, one := range services {
		r.Backends = append(r.Backends, mesh.WeightedBackend{Service: one, Weight: 1})
	}
	return mesh.Change{Route: r}
}

func without(change mesh.Change) mesh.Change {
	change.Deleted = true
	return change
}

// A gateway hears of its routes and of the services behind them; of everything
// else it is sent nothing, not a byte.
func TestAGatewayHearsOfItsRoutesAlone(t *testing.T) {
	f := start(t, controlplane.Config{})
	f.apply(declared("orders"), declared("stock"), declared("web", "orders"), routed("shop", nil, "orders"))
	scope, closeScope, err := f.plane.Open(t.Context(), edgeNode(t, "edge/1"))
	if err != nil {
		t.Fatal(err)
	}
	defer closeScope()
	first := f.out.take()
	for _, name := range put(first[0]) {
		if strings.Contains(name, "stock") || strings.Contains(name, "web") {
			t.Errorf("the gateway was sent %s, which no route names", name)
		}
	}
	quiet := func(what string, changes ...mesh.Change) {
		t.Helper()
		f.apply(changes...)
		f.apply(registered("orders", "behind")) // comes behind, so the one before is done too
		for _, u := range f.out.wait(t, 1) {
			if _, touched := u.Scopes[scope]; touched || !slices.Equal(put(u), []string{"ClusterLoadAssignment/orders"}) {
				t.Errorf("%s: the gateway was sent %v", what, put(u))
			}
		}
	}
	quiet("a service that no route names", declared("new"), registered("new", "1"), declared("stock", "new"))
	quiet("a caller of its service", declared("other", "orders"))
	quiet("a route of another gateway", routed("inside", []mesh.ServiceName{"inside"}, "stock"))
	quiet("and its end", without(routed("inside", []mesh.ServiceName{"inside"}, "stock")))

	told := func(what, want string, changes ...mesh.Change) {
		t.Helper()
		f.apply(changes...)
		u := f.out.wait(t, 1)[0]
		if _, touched := u.Scopes[scope]; !touched || !slices.Contains(put(u), want) {
			t.Errorf("%s: want %s, the gateway was sent %v", what, want, put(u))
		}
	}
	routes := "RouteConfiguration/http." + scope
	told("a route for it", "ClusterLoadAssignment/stock", routed("stock", []mesh.ServiceName{"edge"}, "stock"))
	told("a route to a service that is not there yet", routes, routed("later", nil, "later"))
	told("that service", "Cluster/later", declared("later"))
	told("the route goes to another gateway", routes, routed("stock", []mesh.ServiceName{"inside"}, "stock"))
	quiet("its service then", declared("stock"))
	told("a route's end", routes, without(routed("later", nil, "later")))
	told("its service's end", routes, without(declared("orders")))
}

func TestAGatewayAndAServiceMayHaveOneName(t *testing.T) {
	f := start(t, controlplane.Config{})
	f.apply(declared("edge"), routed("shop", nil, "orders"))
	_, closeService := f.open(t, "edge/1")
	defer closeService()
	scope, closeGateway, err := f.plane.Open(t.Context(), edgeNode(t, "edge/1"))
	if err != nil {
		t.Fatal(err)
	}
	if scope == "edge" {
		t.Error("both have one scope")
	}
	f.out.take()
	closeGateway()
	u := f.out.wait(t, 1)[0]
	if _, touched := u.Scopes["edge"]; touched || u.Scopes[scope] != nil {
		t.Errorf("the gateway's end came to %+v", u.Scopes)
	}
	f.apply(declared("edge", "orders"))
	if u := f.out.wait(t, 1)[0]; u.Scopes["edge"] == nil {
		t.Error("the sidecar hears of nothing any more")
	}
}

func TestGatewaysSayWhereTheyListen(t *testing.T) {
	f := start(t, controlplane.Config{SyncTimeout: time.Second})
	f.apply()
	for name, c := range map[string]struct {
		fields map[string]any
		want   string
	}{
		"nothing": {map[string]any{"profile": "gateway"}, `gateway: is required for the profile "gateway"`},
		"no port": {map[string]any{"profile": "gateway", "gateway": map[string]any{}}, "gateway: listens nowhere"},
		"no certificate": {
			map[string]any{"profile": "gateway", "gateway": map[string]any{"httpsPort": 8443.0}}, "gateway.certificates: is required: HTTPS",
		},
		"every fault": {
			map[string]any{"profile": "gateway", "appPort": 1.0, "gateway": map[string]any{"httpPort": 70000.0, "listenAddress": "x", "http3": true, "trustedHops": 99.0}},
			`appPort: is for a sidecar, and a gateway stands beside no application: leave it out; gateway.listenAddress: "x" is not an IP address; gateway.httpPort: 70000 is not a port: use 1 to 65535; gateway.httpsPort: is required with certificates, a public port and HTTP/3; gateway.trustedHops: 99 is out of range: use 0 to 10`,
		},
		"a sidecar": {map[string]any{"gateway": map[string]any{"httpPort": 80.0}}, `gateway: is for the profile "gateway" alone`},
	} {
		_, _, err := f.plane.Open(t.Context(), gatewayNode(t, "edge/1", c.fields))
		if status.Code(err) != codes.InvalidArgument || !strings.Contains(status.Convert(err).Message(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
