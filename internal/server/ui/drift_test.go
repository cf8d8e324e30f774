package ui_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/server/ui"
)

func TestDriftIsDeclaredByAButton(t *testing.T) {
	now := time.Now()
	refused := func(caller, callee, reason string) mesh.Edge {
		e := mesh.Edge{Caller: caller, Callee: callee, Requests: 4, Refused: 4, FirstSeen: now, LastSeen: now, LastRefused: now, Reason: reason}
		if reason == "undeclared" {
			e.Undeclared = 4
		}
		return e
	}
	s := newSite(t, func(c *ui.Config) {
		c.Observed = func(context.Context) (insight.Observed, error) {
			return insight.Observed{
				Edges: []mesh.Edge{
					refused("catalogue", "stock", "undeclared"), refused("web", "<script>alert(1)</script>.example", "undeclared"), refused("orders", "payments", "unapproved"),
					{Caller: "address/10.0.0.9", Callee: "orders", Requests: 1, LastSeen: now},
				},
				Reporters: []insight.Reporter{{Name: "web", Since: now.Add(-90 * 24 * time.Hour)}},
			}, nil
		}
	})
	shop(s)
	if body := s.get("", "/ui/drift").body; strings.Contains(body, "<script>alert") || strings.Contains(body, "Declare it") || !strings.Contains(body, "catalogue tried to call stock") || !strings.Contains(body, "10.0.0.9 calls orders in plain text") {
		t.Errorf("who may change nothing sees %s", body)
	}
	b := s.tab()
	b.signIn(s.admin)
	b.inspect("/ui/drift", "drift")
	b.shape(1000, "light")
	b.visit("/ui/drift?service=catalogue")
	b.run(chromedp.Click(`form[action="/ui/drift/declare"] button`), chromedp.WaitVisible(`.empty-state`))
	stored, err := s.store.Service(t.Context(), "catalogue")
	if err != nil || len(stored.Dependencies) != 1 || stored.Dependencies[0] != "stock" || stored.Meta.Source != "ui" {
		t.Errorf("%+v, %v", stored, err)
	}
}
