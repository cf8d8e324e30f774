package grpcapi_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	heddlev1 "github.com/heddle-mesh/heddle/api/heddle/v1"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
	"github.com/heddle-mesh/heddle/internal/server/grpcapi"
)

func TestWhoMayWriteWhat(t *testing.T) {
	h := start(t)
	token := func(token registry.Token) string {
		_, secret, err := h.store.CreateToken(t.Context(), token, registry.Write{})
		ok(t, err)
		return secret
	}
	const y, n, u = codes.OK, codes.PermissionDenied, codes.Unauthenticated
	callers := []struct {
		name, secret string
		create       codes.Code // something of a name of its own
		change       codes.Code // of what is there
	}{
		{"admin", h.admin, y, y},
		{"owner", token(registry.Token{Owners: []string{"team-a"}}), y, y},
		{"other owner", token(registry.Token{Owners: []string{"team-b"}}), n, n},
		{"token of the service", token(registry.Token{Service: "orders"}), n, y},
		{"token of its instances", token(registry.Token{Kind: registry.InstancesToken, Service: "orders"}), n, n},
		{"nobody", "hdl_abc_def", u, u},
	}
	mine := func(name string) *heddlev1.Service {
		s := declaration(name)
		s.Owner = "team-a"
		return s
	}
	upstream := func(name string) *heddlev1.Upstream {
		u := dnsUpstream(name, "db.example.com")
		u.Owner = "team-a"
		return u
	}
	services, upstreams := h.server.services, h.server.upstreams
	writes := map[string]func(context.Context) error{
		"CreateService": func(ctx context.Context) error {
			_, err := services.CreateService(ctx, &heddlev1.CreateServiceRequest{Service: mine("fresh")})
			return err
		},
		"UpdateService": func(ctx context.Context) error {
			_, err := services.UpdateService(ctx, &heddlev1.UpdateServiceRequest{Service: mine("orders")})
			return err
		},
		"DeleteService": func(ctx context.Context) error {
			_, err := services.DeleteService(ctx, &heddlev1.DeleteServiceRequest{Name: "orders"})
			return err
		},
		"CreateUpstream": func(ctx context.Context) error {
			_, err := upstreams.CreateUpstream(ctx, &heddlev1.CreateUpstreamRequest{Upstream: upstream("fresh")})
			return err
		},
		"UpdateUpstream": func(ctx context.Context) error {
			_, err := upstreams.UpdateUpstream(ctx, &heddlev1.UpdateUpstreamRequest{Upstream: upstream("orders")})
			return err
		},
		"DeleteUpstream": func(ctx context.Context) error {
			_, err := upstreams.DeleteUpstream(ctx, &heddlev1.DeleteUpstreamRequest{Name: "orders"})
			return err
		},
	}
	var known []string
	for _, service := range []grpc.ServiceDesc{heddlev1.ServiceService_ServiceDesc, heddlev1.UpstreamService_ServiceDesc} {
		for _, method := range service.Methods {
			if !strings.HasPrefix(method.MethodName, "Get") && !strings.HasPrefix(method.MethodName, "List") {
				known = append(known, method.MethodName)
			}
		}
	}
	slices.Sort(known)
	if tried := slices.Sorted(maps.Keys(writes)); !slices.Equal(known, tried) {
		t.Fatalf("the API's writes are %v, and those tried %v", known, tried)
	}
	for method, write := range writes {
		for _, caller := range callers {
			stored := mesh.Service{Name: "orders", Owner: "team-a", Protocol: mesh.HTTP, Port: 80, Dependencies: []mesh.ServiceName{}}
			if strings.HasSuffix(method, "Upstream") {
				stored.Endpoints.DNS = &mesh.DNSEndpoints{Host: "db.example.com"}
			}
			_, err := h.store.PutService(t.Context(), stored, registry.Write{})
			ok(t, err)
			if err := h.store.DeleteService(t.Context(), "fresh", registry.Write{}); err != nil && mesh.KindOf(err) != mesh.KindNotFound {
				t.Fatal(err)
			}
			want := caller.change
			if strings.HasPrefix(method, "Create") {
				want = caller.create
			}
			if got := write(h.as(caller.secret)); status.Code(got) != want {
				t.Errorf("%s by %s: %v, want %v", method, caller.name, got, want)
			}
		}
	}
	// What was refused is in the audit, by whom it is known.
	refusedEntries, err := h.store.Audit(t.Context(), registry.AuditQuery{Outcome: mesh.AuditRefused, Limit: 1000})
	ok(t, err)
	if len(refusedEntries) == 0 || refusedEntries[0].Source != "grpc" || refusedEntries[0].Author == "" || refusedEntries[0].Reason == "" || refusedEntries[0].From == "" {
		t.Errorf("%+v", refusedEntries)
	}
}

// identities is whom every connection proves to be.
type identities struct{ of mesh.Identity }

func (i identities) Peer(context.Context) (mesh.Identity, error) { return i.of, nil }

func TestReadsMayNeedAToken(t *testing.T) {
	h := start(t)
	h.declare("orders")
	for name, c := range map[string]struct {
		of   mesh.Identity
		ctx  func() context.Context
		want codes.Code
	}{
		"nothing":       {mesh.Identity{}, h.reader, codes.Unauthenticated},
		"a wrong token": {mesh.Identity{Kind: mesh.AuthzIdentity}, func() context.Context { return h.as("hdl_a_b") }, codes.Unauthenticated},
		"a token":       {mesh.Identity{}, h.writer, codes.OK},
		"a certificate": {mesh.Identity{Kind: mesh.GatewayIdentity, Name: "edge"}, h.reader, codes.OK},
	} {
		h.change = func(cfg *grpcapi.Config) { cfg.RequireReadToken, cfg.Identities = true, identities{c.of} }
		s := h.serve()
		_, get := s.services.GetService(c.ctx(), &heddlev1.GetServiceRequest{Name: "orders"})
		_, list := s.upstreams.ListUpstreams(c.ctx(), &heddlev1.ListUpstreamsRequest{})
		watching, err := s.services.WatchServices(c.ctx(), &heddlev1.WatchServicesRequest{})
		ok(t, err)
		_, watch := watching.Recv()
		for call, err := range map[string]error{"get": get, "list": list, "watch": watch} {
			if status.Code(err) != c.want {
				t.Errorf("%s with %s: %v, want %v", call, name, err, c.want)
			}
		}
	}
}
