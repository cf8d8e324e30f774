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
	service mesh.ServiceName
	err     error
}

func (p *proofs) Peer(context.Context) (mesh.ServiceName, error) { return p.service, p.err }

func TestAScopeIsForItsProvenService(t *testing.T) {
	gateway := &corev3.Node{Id: "web/1", Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{
		"heddle": structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{"profile": structpb.NewStringValue("gateway"), "gateway": structpb.NewStructValue(
			&structpb.Struct{Fields: map[string]*structpb.Value{"httpPort": structpb.NewNumberValue(8080)}})}}),
	}}}
	for name, c := range map[string]struct {
		proof   proofs
		require bool
		node    *corev3.Node
		code    codes.Code
		want    string
	}{
		"its own":               {proofs{service: "web"}, true, node("web/1"), codes.OK, ""},
		"another's":             {proofs{service: "orders"}, false, node("web/1"), codes.PermissionDenied, `of service "orders", and may not be served as service "web"`},
		"nothing, not asked":    {proofs{}, false, node("web/1"), codes.OK, ""},
		"nothing, though asked": {proofs{}, true, node("web/1"), codes.Unauthenticated, "--xds-tls-listen"},
		"a bad certificate":     {proofs{err: mesh.Denied("it expired")}, false, node("web/1"), codes.Unauthenticated, "it expired"},
		"a gateway of its name": {proofs{service: "web"}, false, gateway, codes.PermissionDenied, "gateways have no identities yet"},
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
			} else if !strings.Contains(log.String(), "audit=true node=web/1") {
				t.Errorf("no audit line in: %s", log.String())
			}
		})
	}
}
