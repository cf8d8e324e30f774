package controlplane_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/heddle-mesh/heddle/internal/controlplane"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// proofs say what each caller has proven.
type proofs struct {
	of  mesh.Identity
	err error
}

func (p *proofs) Peer(context.Context) (mesh.Identity, error) { return p.of, p.err }

func TestAScopeIsForItsProvenIdentity(t *testing.T) {
	gateway := &corev3.Node{Id: "web/1", Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{
		"heddle": structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{"profile": structpb.NewStringValue("gateway"), "gateway": structpb.NewStructValue(
			&structpb.Struct{Fields: map[string]*structpb.Value{"httpPort": structpb.NewNumberValue(8080)}})}}),
	}}}
	web := proofs{of: mesh.Identity{Kind: mesh.ServiceIdentity, Name: "web"}}
	orders := proofs{of: mesh.Identity{Kind: mesh.ServiceIdentity, Name: "orders"}}
	edge := proofs{of: mesh.Identity{Kind: mesh.GatewayIdentity, Name: "web"}}
	other := proofs{of: mesh.Identity{Kind: mesh.GatewayIdentity, Name: "inner"}}
	authz := proofs{of: mesh.Identity{Kind: mesh.AuthzIdentity}}
	for name, c := range map[string]struct {
		proof   proofs
		require bool
		node    *corev3.Node
		code    codes.Code
		want    string
	}{
		"its own":               {web, true, node("web/1"), codes.OK, ""},
		"another's":             {orders, false, node("web/1"), codes.PermissionDenied, `of service "orders", and may not be served as service "web"`},
		"nothing, not asked":    {proofs{}, false, node("web/1"), codes.OK, ""},
		"nothing, though asked": {proofs{}, true, node("web/1"), codes.Unauthenticated, "--xds-tls-listen"},
		"a bad certificate":     {proofs{err: mesh.Denied("it expired")}, false, node("web/1"), codes.Unauthenticated, "it expired"},
		"a gateway of its name": {web, false, gateway, codes.PermissionDenied, `of service "web", and may not be served as gateway "web"`},
		"the gateway":           {edge, true, gateway, codes.OK, ""},
		"another gateway":       {other, true, gateway, codes.PermissionDenied, `of gateway "inner", and may not be served as gateway "web"`},
		"a gateway as service":  {edge, true, node("web/1"), codes.PermissionDenied, `of gateway "web", and may not be served as service "web"`},
		"an AuthZ service":      {authz, true, node("web/1"), codes.PermissionDenied, "of the AuthZ service, and may not be served"},
		"a gateway, no proof":   {proofs{}, true, gateway, codes.Unauthenticated, "--xds-tls-listen"},
	} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			f := start(t, controlplane.Config{Identities: &c.proof, RequireIdentity: c.require, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			f.apply(declared("web"), declared("orders"))
			_, closeScope, err := f.plane.Open(t.Context(), c.node)
			if status.Code(err) != c.code || !strings.Contains(status.Convert(err).Message(), c.want) {
				t.Errorf("got %v", err)
			}
			if err == nil {
				closeScope()
			} else if !strings.Contains(log.String(), "object=node/web/1") {
				t.Errorf("no audit line in: %s", log.String())
			}
		})
	}
}

// TestWhoMayReport: a stranger on the plain port reports as nobody it made up.
func TestWhoMayReport(t *testing.T) {
	gateway := func(name string) *corev3.Node {
		return &corev3.Node{Id: name + "/1", Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{
			"heddle": structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{"profile": structpb.NewStringValue("gateway"), "gateway": structpb.NewStructValue(
				&structpb.Struct{Fields: map[string]*structpb.Value{"httpPort": structpb.NewNumberValue(8080)}})}}),
		}}}
	}
	f := start(t, controlplane.Config{})
	f.apply(declared("web"), mesh.Change{Route: &mesh.Route{Name: "shop", Owner: "team-a", Hosts: []string{"shop.example"}, Gateways: []mesh.ServiceName{"edge"}}})
	_, closeScope := f.open(t, "web/web-1") // now all is known
	defer closeScope()
	_, closeInner, err := f.plane.Open(t.Context(), gateway("inner"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		node *corev3.Node
		name string
		sure bool
		code codes.Code
	}{
		{node("web/web-1"), "web", true, codes.OK},
		{node("made-up/1"), "", false, codes.FailedPrecondition},
		{gateway("edge"), "gateway/edge", true, codes.OK},
		{gateway("inner"), "gateway/inner", false, codes.OK},
		{gateway("web"), "", false, codes.FailedPrecondition},
		{gateway("made-up"), "", false, codes.FailedPrecondition},
	} {
		if name, sure, err := f.plane.Reporter(t.Context(), c.node); name != c.name || sure != c.sure || status.Code(err) != c.code {
			t.Errorf("%s: %s %v %v", c.node.GetId(), name, sure, err)
		}
	}
	closeInner()
	_, closeAnother := f.open(t, "web/web-2") // after it
	defer closeAnother()
	if _, _, err := f.plane.Reporter(t.Context(), gateway("inner")); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a gateway that is gone: %v", err)
	}
	proven := start(t, controlplane.Config{Identities: &proofs{of: mesh.Identity{Kind: mesh.GatewayIdentity, Name: "inner"}}})
	if name, sure, err := proven.plane.Reporter(t.Context(), gateway("inner")); name != "gateway/inner" || !sure || err != nil {
		t.Errorf("a proven gateway: %s %v %v", name, sure, err)
	}
}
