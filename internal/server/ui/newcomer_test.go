package ui_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
	"github.com/heddle-mesh/heddle/internal/server/ui"
)

func TestANameThatIsTakenIsSaidPlainly(t *testing.T) {
	s := newSite(t)
	s.declare(mesh.Service{Name: "orders", Owner: "team-money"})
	typed := []string{"name", "orders", "owner", "team-shop", "protocol", "tcp", "port", "9000", "dependencies#which", "nothing", "description", "typed for an hour"}
	for _, do := range []string{"review", "save"} {
		got := s.post(s.admin, "/ui/declare/service", append(typed, "~do", do)...)
		for _, want := range []string{"A service called orders exists already", "It belongs to team-money", `href="/ui/services/orders"`, "typed for an hour", `value="9000"`, "is taken"} {
			if got.status != http.StatusConflict || !strings.Contains(got.body, want) {
				t.Errorf("%s: %d lacks %q", do, got.status, want)
			}
		}
		if strings.Contains(got.body, "after you opened your form") {
			t.Errorf("%s tells it as an edit of two people", do)
		}
	}
}

func TestAnEmptyPortStaysEmpty(t *testing.T) {
	s := newSite(t)
	got := s.post(s.admin, "/ui/declare/service", "name", "orders", "owner", "a", "protocol", "tcp", "port", "", "dependencies#which", "nothing", "~do", "review")
	if got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "Port is required") || !strings.Contains(got.body, `aria-invalid="true" value="" placeholder="8080"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestFaultsQuoteLettersAsTheyWereTyped(t *testing.T) {
	s := newSite(t)
	got := s.post(s.admin, "/ui/declare/service", "name", "Bücher<b>", "owner", "a", "protocol", "tcp", "port", "1", "dependencies#which", "nothing", "~do", "review").body
	if !strings.Contains(got, "&#34;Bücher&lt;b&gt;&#34; is not a DNS label") || strings.Contains(got, `\u00`) {
		t.Error(got)
	}
}

func TestWhoMayNotChangeAServiceIsToldWhoMay(t *testing.T) {
	s := newSite(t)
	s.declare(mesh.Service{Name: "orders", Owner: "team-money"})
	const page = "/ui/services/orders"
	other := s.token(registry.Token{Owners: []string{"team-web"}})
	got := s.get(other, page).body
	if !strings.Contains(got, "It belongs to team-money, and you may write what belongs to team-web.") || strings.Contains(got, page+"/edit") || strings.Contains(got, "/ui/declare/instance") {
		t.Error(got)
	}
	form := s.get(other, page+"/edit").body
	if !strings.Contains(form, "belongs to &#34;team-money&#34;") || strings.Contains(form, page+"/delete") || strings.Contains(form, "Review…") {
		t.Error(form)
	}
	if got := s.get(other, page+"/delete"); got.status != http.StatusForbidden || !strings.Contains(got.body, "team-money") {
		t.Errorf("%d %s", got.status, got.body)
	}
	mine := s.get(s.token(registry.Token{Owners: []string{"team-money"}}), page+"/edit").body
	if strings.Contains(mine, "cannot be stored") || !strings.Contains(mine, page+"/delete") || !strings.Contains(mine, "Review…") {
		t.Error(mine)
	}
}

func TestTheOverviewCountsDrift(t *testing.T) {
	now := time.Now()
	s := newSite(t, func(c *ui.Config) {
		c.Version = "heddle (devel), go1.26 linux/amd64"
		c.Observed = func(context.Context) (insight.Observed, error) {
			edge := mesh.Edge{Caller: "web", Callee: "orders", Requests: 4, Refused: 4, Undeclared: 4, FirstSeen: now, LastSeen: now, LastRefused: now, Reason: "undeclared"}
			return insight.Observed{Edges: []mesh.Edge{edge}}, nil
		}
	})
	s.declare(mesh.Service{Name: "orders"}, mesh.Service{Name: "web"})
	got := s.get("", "/ui/").body
	if !strings.Contains(got, `href="/ui/drift"><span class="tile-name">Drift</span><span class="tile-number">1</span><span class="tile-more">1 undeclared, 0 refused, 0 unused</span>`) {
		t.Error(got)
	}
	if !strings.Contains(got, "<span>Heddle (devel), go1.26 linux/amd64</span>") {
		t.Error("the footer says the name twice")
	}
}
