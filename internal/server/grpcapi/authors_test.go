package grpcapi_test

import (
	"context"
	"testing"

	heddlev1 "github.com/heddle-mesh/heddle/api/heddle/v1"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// Everybody may read a service; who wrote it is told as the audit tells it.
func TestAnAuthorIsShownAsTheAuditIs(t *testing.T) {
	h := start(t)
	h.declare("orders")
	h.create(staticUpstream("database", "10.0.0.5"))
	of := func(token registry.Token) context.Context {
		_, secret, err := h.store.CreateToken(t.Context(), token, registry.Write{})
		ok(t, err)
		return h.as(secret)
	}
	for name, c := range map[string]struct {
		ctx   context.Context
		shown int // of the authors of orders
	}{
		"nobody":          {h.reader(), 0},
		"no such token":   {h.as("hdl_0_0"), 0},
		"other owner":     {of(registry.Token{Owners: []string{"team-else"}}), 0},
		"another's token": {of(registry.Token{Service: "web"}), 0},
		"owner":           {of(registry.Token{Owners: []string{"team-shop"}}), 3},
		"its own token":   {of(registry.Token{Service: "orders"}), 3},
		"admin":           {h.writer(), 3},
	} {
		var told []string
		got, err := h.server.services.GetService(c.ctx, &heddlev1.GetServiceRequest{Name: "orders"})
		ok(t, err)
		told = append(told, got.GetService().GetMeta().GetAuthor())
		list, err := h.server.services.ListServices(c.ctx, &heddlev1.ListServicesRequest{})
		ok(t, err)
		for _, one := range list.GetServices() {
			if one.GetName() == "orders" {
				told = append(told, one.GetMeta().GetAuthor())
			}
		}
		ctx, cancel := context.WithCancel(c.ctx)
		stream, err := h.server.services.WatchServices(ctx, &heddlev1.WatchServicesRequest{})
		ok(t, err)
		changes, err := stream.Recv()
		ok(t, err)
		for _, one := range changes.GetChanges() {
			if one.GetPut().GetName() == "orders" {
				told = append(told, one.GetPut().GetMeta().GetAuthor())
			}
		}
		cancel()
		shown := 0
		for _, author := range told {
			if author != "" {
				shown++
			}
		}
		if len(told) != 3 || shown != c.shown {
			t.Errorf("%s is told %q", name, told)
		}
	}
	up, err := h.server.upstreams.GetUpstream(h.reader(), &heddlev1.GetUpstreamRequest{Name: "database"})
	ok(t, err)
	if up.GetUpstream().GetMeta().GetAuthor() != "" {
		t.Error("everybody is told who wrote an upstream")
	}
}
