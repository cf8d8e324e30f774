package ui_test

import (
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
	"github.com/heddle-mesh/heddle/internal/server/ui"
)

// What a script would be, whichever part of a page it got into.
const hostile = `"'><script>alert(1)</script><img src=x onerror=alert(2)><svg/onload=alert(3)>{{.}}javascript:alert(4)`

// Every field of a mesh whose writers are hostile is shown as text.
func TestNothingThatPagesShowBecomesScript(t *testing.T) {
	s := newSite(t, func(c *ui.Config) {
		c.Streams = func() []mesh.ProxyStream {
			return []mesh.ProxyStream{{Node: "web/" + hostile, Service: "web", Instance: hostile, Address: hostile, Transport: hostile, Types: []mesh.ProxyType{
				{Type: hostile, BehindSince: time.Now().Add(-time.Hour), Rejected: &mesh.Rejection{Message: hostile, Objects: []mesh.Origin{{Object: "service/" + hostile, Author: hostile}}}},
			}}}
		}
		c.Problems = func() []ui.Problem {
			return []ui.Problem{{Object: "service/" + hostile, Message: hostile}, {Object: "service/web", Message: hostile}, {Object: "javascript:alert(1)", Message: hostile}}
		}
	})
	s.declare(
		mesh.Service{Name: "web", Owner: hostile, Description: hostile, Deprecated: hostile, Dependencies: []mesh.ServiceName{"orders", "web"}},
		mesh.Service{Name: "orders", Owner: hostile, Access: mesh.Access{Callers: mesh.ApprovedCallers}},
	)
	s.register(mesh.Instance{ID: "web-1", Service: "web", Address: "10.0.0.1", Port: 8080, Locality: mesh.Locality{Region: hostile, Zone: hostile}, Labels: map[string]string{"v": hostile}})
	admin := s.token(registry.Token{Description: hostile})
	s.store.Refused(t.Context(), mesh.AuditEntry{Action: hostile, Object: "service/web", Service: "web", Author: hostile, Source: hostile, Reason: hostile})
	b := s.tab()
	b.signIn(admin)
	for _, path := range []string{"/ui/", "/ui/services", "/ui/services?q=" + `%22%3E%3Cscript%3Ealert(5)%3C/script%3E`, "/ui/services?owner=%22%3E%3Cscript%3E", "/ui/services/web", "/ui/services/orders", "/ui/approvals", "/ui/services/%22%3E%3Cscript%3Ealert(6)%3C%2Fscript%3E"} {
		b.visit(path) // a dialog or a violation of the policy fails the test at its end
		var found []string
		b.evaluate(`[...document.querySelectorAll("script:not([src]),img,[onerror],[onload],[style]")].map(e => e.outerHTML)
			.concat([...document.querySelectorAll("a[href]")].map(a => a.href).filter(h => !h.startsWith(location.origin + "/")))`, &found)
		if len(found) > 0 {
			t.Errorf("%s: something became more than text: %q", path, found)
		}
	}
	if body := s.get(admin, "/ui/services/web").body; !strings.Contains(body, "&lt;script&gt;alert(1)") || strings.Contains(body, "<script>alert") {
		t.Error("the description is not shown as text")
	}
}
