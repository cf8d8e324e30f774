package ui_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
	"github.com/heddle-mesh/heddle/internal/server/ui"
)

// reporting gives a site what else a server knows: proxies and what they saw.
func reporting(c *ui.Config) {
	now := time.Now()
	c.Streams = func() []mesh.ProxyStream {
		return []mesh.ProxyStream{
			{Node: "orders/orders-1", Service: "orders", Instance: "orders-1", Address: "10.0.0.3:41234", Connected: now.Add(-3 * time.Hour)},
			{Node: "web/web-1", Service: "web", Instance: "web-1", Address: "10.0.0.1:39112", Connected: now.Add(-49 * time.Hour),
				Types: []mesh.ProxyType{{Type: clusterType, BehindSince: now.Add(-4 * time.Minute)}}},
			{Node: "web/web-2", Service: "web", Instance: "web-2", Address: "10.0.0.2:40102", Connected: now.Add(-time.Minute),
				Types: []mesh.ProxyType{{Type: listenerType, BehindSince: now.Add(-time.Minute), Rejected: &mesh.Rejection{Message: "error adding listener: filter chain match is a duplicate"}}}},
		}
	}
	c.Observed = func(context.Context) (insight.Observed, error) {
		return insight.Observed{Edges: []mesh.Edge{
			{Caller: "web", Callee: "orders", Requests: 128930, Errors: 41, RequestRate: 14.2, FirstSeen: now.Add(-40 * time.Hour), LastSeen: now.Add(-2 * time.Second)},
			{Caller: "web", Callee: "catalogue", Requests: 51200, Errors: 51200, RequestRate: 6, ErrorRate: 6, FirstSeen: now.Add(-40 * time.Hour), LastSeen: now.Add(-2 * time.Second)},
			{Caller: "orders", Callee: "payments", Requests: 90, Refused: 90, FirstSeen: now.Add(-2 * time.Hour), LastSeen: now.Add(-time.Minute), LastRefused: now.Add(-time.Minute), Reason: "not approved"},
			{Caller: "orders", Callee: "mail.example.com", Requests: 7, Refused: 7, Undeclared: 7, FirstSeen: now.Add(-2 * time.Hour), LastSeen: now.Add(-time.Minute), LastRefused: now.Add(-time.Minute), Reason: "undeclared"},
		}}, nil
	}
}

func TestThePageOfAService(t *testing.T) {
	s := newSite(t, reporting)
	shop(s)
	got := s.get("", "/ui/services/orders")
	if got.status != 200 {
		t.Fatal(got.body)
	}
	for _, want := range []string{
		"needs approval", "mail.example.com", "undeclared", "128,930", "41 (&lt;0.1%)", "orders-1", "10.0.0.3:8080", "10.0.0.3:41234", "current",
		"15s for a whole request with its retries", "those that its owner has approved", "Sign in to see who changed what", "has not approved it",
	} {
		if !strings.Contains(got.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if body := s.get("", "/ui/services/web").body; !strings.Contains(body, "pending") || !strings.Contains(body, "filter chain match is a duplicate") || !strings.Contains(body, "behind") || !strings.Contains(body, "51,200 (100%)") || !strings.Contains(body, "failing") || !strings.Contains(body, "draining") {
		t.Error("the page of web lacks its pending dependency, its refused configuration or its draining instance")
	}
	if strings.Contains(got.body, "token:0123456789ab") {
		t.Error("the page tells everybody who changed the service")
	}
	owner := s.token(registry.Token{Description: "Ada", Owners: []string{"team-shop"}})
	if body := s.get(owner, "/ui/services/orders").body; !strings.Contains(body, "<strong>create</strong>") || !strings.Contains(body, `by token:0123456789ab</span></dd>`) {
		t.Error("the owner does not see who changed its service")
	}
	for path, want := range map[string]bool{"/ui/services/orders": true, "/ui/services/web": false} {
		if got := strings.Contains(s.get(owner, path).body, path+"/edit"); got != want {
			t.Errorf("%s offers to edit it: %t, want %t", path, got, want)
		}
	}
	if body := s.get(owner, "/ui/services/web").body; !strings.Contains(body, "Its owner and admins see who changed what") {
		t.Error("who is no owner is not told why there are no changes")
	}
}

func TestWhatIsNotThereSaysWhatToDo(t *testing.T) {
	s := newSite(t)
	shop(s)
	for path, want := range map[string]string{
		"/ui/services/search":            "It is a dependency of web",
		"/ui/services/nothing":           "Nobody has declared it",
		"/ui/services/%3Cscript%3E":      "Nobody has declared it",
		"/ui/no/such/page":               "There is no such page",
		"/ui/services/orders/":           "There is no such page",
		"/ui/services/orders/../../../x": "",
	} {
		got := s.get(s.admin, path)
		if got.status != http.StatusNotFound && want != "" || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

func TestTheOwnerDecidesAboutCallers(t *testing.T) {
	s := newSite(t)
	shop(s)
	money := s.token(registry.Token{Description: "Mo", Owners: []string{"team-money"}})
	other := s.token(registry.Token{Description: "Otto", Owners: []string{"team-shop"}})
	const at = "/ui/services/payments/callers"
	for name, c := range map[string]struct {
		token  string
		fields []string
		want   int
	}{
		"nobody":            {"", []string{"caller", "orders", "decision", "approve"}, http.StatusUnauthorized},
		"another owner":     {other, []string{"caller", "orders", "decision", "approve"}, http.StatusForbidden},
		"no decision":       {money, []string{"caller", "orders"}, http.StatusBadRequest},
		"no caller":         {money, []string{"decision", "approve"}, http.StatusUnprocessableEntity},
		"nothing to revoke": {money, []string{"caller", "orders", "decision", "revoke"}, http.StatusNotFound},
	} {
		if got := s.post(c.token, at, c.fields...); got.status != c.want {
			t.Errorf("%s: %d, want %d: %s", name, got.status, c.want, got.body)
		}
	}
	if got := s.post(s.admin, "/ui/services/web/callers", "caller", "orders", "decision", "approve"); got.status != http.StatusUnprocessableEntity {
		t.Errorf("a service that approves nobody: %d", got.status)
	}
	if body := s.get(other, "/ui/approvals").body; strings.Contains(body, "payments/callers") || !strings.Contains(body, "not yours to decide") {
		t.Error("another owner is shown a button")
	}

	if got := s.post(other, at, "caller", "orders", "decision", "refuse"); got.status != http.StatusForbidden {
		t.Errorf("another owner refuses: %d", got.status)
	}
	if got := s.post(money, at, "caller", "orders", "decision", "refuse"); got.status != http.StatusSeeOther {
		t.Errorf("the owner refuses: %d %s", got.status, got.body)
	}
	if body := s.get(money, "/ui/approvals").body; !strings.Contains(body, `id="refused"`) || !strings.Contains(body, "Approve after all") || !strings.Contains(body, "Nobody waits for approval") {
		t.Errorf("a refused caller is not shown as one: %s", body)
	}
	if got := s.post(money, at, "caller", "orders", "decision", "revoke"); got.status != http.StatusSeeOther {
		t.Errorf("the refusal is not taken back: %d", got.status)
	}

	b := s.tab()
	b.signIn(money)
	b.visit("/ui/approvals")
	b.run(chromedp.Click(`td.decide summary`, chromedp.ByQuery), chromedp.WaitVisible(`button[value="refuse"]`))
	b.run(chromedp.Click(`button[value="approve"]`, chromedp.ByQuery), chromedp.WaitReady(".notice"))
	if got := b.text(".notice"); got != "orders may call payments now." || b.at() != "/ui/approvals" {
		t.Errorf("%q at %s", got, b.at())
	}
	b.run(chromedp.WaitReady(`button[value="revoke"]`))
	b.run(chromedp.Click(`button[value="revoke"]`, chromedp.ByQuery), chromedp.WaitReady(`button[value="approve"]`))
	stored, err := s.store.Service(t.Context(), "payments")
	if err != nil || len(stored.Access.Approved) != 0 || stored.Meta.Source != "ui" || !strings.HasPrefix(stored.Meta.Author, "token:") {
		t.Errorf("%+v %v", stored, err)
	}
	entries, err := s.store.Audit(t.Context(), registry.AuditQuery{Object: "service/payments"})
	if err != nil || len(entries) < 3 {
		t.Fatalf("%v %v", entries, err)
	}
	var seen []string
	for _, one := range entries {
		seen = append(seen, string(one.Outcome)+" "+one.Action+" "+one.Source)
	}
	if got := strings.Join(seen, ", "); !strings.Contains(got, "done revoke ui, done approve ui") || !strings.Contains(got, "refused decide about a caller ui") {
		t.Errorf("the audit says %s", got)
	}
}

func TestThePagesInABrowser(t *testing.T) {
	s := newSite(t, reporting)
	shop(s)
	s.declare(mesh.Service{Name: "former"}, mesh.Service{Name: "spoilt"})
	if err := s.store.DeleteService(t.Context(), "former", by); err != nil {
		t.Fatal(err)
	}
	admin := s.token(registry.Token{Description: "Ada, on call"})
	b := s.tab()
	b.inspect("/ui/", "overview-reader")
	b.signIn(admin)
	b.inspect("/ui/", "overview")
	b.inspect("/ui/services/orders", "service")
	b.inspect("/ui/services/web", "service-web")
	for _, width := range []int64{761, 1000, 1160, 1300, 1600} {
		b.shape(width, "light")
		b.visit("/ui/services/orders")
		var cut []string
		b.evaluate(`[...document.querySelectorAll(".flush")].filter(e => e.scrollWidth > e.clientWidth).map(e => e.querySelector("h2").innerText)`, &cut)
		if len(cut) > 0 {
			t.Errorf("at %d px these tables are cut off: %q", width, cut)
		}
		var header struct{ Height, Hidden int }
		b.evaluate(`({Height: Math.round(document.querySelector(".top-row").offsetHeight), Hidden: document.querySelector(".nav").scrollWidth - document.querySelector(".nav").clientWidth})`, &header)
		most := 60
		if width <= 1240 { // the pages have a line of their own
			most = 110
		}
		if header.Height > most || header.Hidden > 0 {
			t.Errorf("at %d px the header takes %d px, and %d px of its pages are hidden", width, header.Height, header.Hidden)
		}
	}
	b.inspect("/ui/approvals", "approvals")
	b.inspect("/ui/services/nothing", "not-found")
	b.inspect("/ui/services/former", "service-deleted")
	s.putRaw("/heddle/v1/services/spoilt", "{not JSON")
	b.inspect("/ui/services/spoilt/edit", "service-unreadable")
	b.shape(400, "light")
	var hint struct {
		Hidden int
		Shades string
	}
	b.evaluate(`(nav => ({Hidden: nav.scrollWidth - nav.clientWidth, Shades: getComputedStyle(nav).backgroundAttachment}))(document.querySelector(".nav"))`, &hint)
	if hint.Hidden <= 0 || hint.Shades != "local, local, scroll, scroll" {
		t.Errorf("at 400 px %d px of the menu are hidden, and nothing hints at it: %q", hint.Hidden, hint.Shades)
	}
}

func TestAnEmptyMeshInABrowser(t *testing.T) {
	s := newSite(t)
	b := s.tab()
	for path, name := range map[string]string{"/ui/": "overview-empty", "/ui/services": "services-empty", "/ui/approvals": "approvals-empty"} {
		b.inspect(path, name)
	}
}
