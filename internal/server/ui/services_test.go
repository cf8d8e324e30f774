package ui_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// shop is a small mesh with a bit of everything.
func shop(s *site) {
	s.t.Helper()
	s.declare(
		mesh.Service{Name: "web", Owner: "team-web", Description: "The shop's front, server-rendered.", Dependencies: []mesh.ServiceName{"orders", "catalogue", "search"}},
		mesh.Service{Name: "orders", Description: "Takes orders and keeps them.", Dependencies: []mesh.ServiceName{"payments", "stock"}, Access: mesh.Access{Callers: mesh.ApprovedCallers, Approved: []string{"web"}}},
		mesh.Service{Name: "catalogue", Owner: "team-catalogue", Description: "What there is to buy."},
		mesh.Service{Name: "payments", Owner: "team-money", Protocol: mesh.GRPC, Port: 9090, Access: mesh.Access{Callers: mesh.ApprovedCallers}},
		mesh.Service{Name: "stock", Endpoints: mesh.Endpoints{DNS: &mesh.DNSEndpoints{Host: "stock.internal"}}},
	)
	s.register(
		mesh.Instance{ID: "web-1", Service: "web", Address: "10.0.0.1", Port: 8080, Locality: mesh.Locality{Region: "westeurope", Zone: "1"}},
		mesh.Instance{ID: "web-2", Service: "web", Address: "10.0.0.2", Port: 8080, Health: mesh.Draining},
		mesh.Instance{ID: "orders-1", Service: "orders", Address: "10.0.0.3", Port: 8080},
		mesh.Instance{ID: "catalogue-1", Service: "catalogue", Address: "10.0.0.4", Port: 8080, Health: mesh.Unhealthy},
	)
}

func TestServicesAreFoundAndSorted(t *testing.T) {
	s := newSite(t)
	if body := s.get("", "/ui/services").body; !strings.Contains(body, "No services yet") {
		t.Errorf("an empty mesh says nothing of what to do next: %s", body)
	}
	shop(s)
	for _, c := range []struct {
		query string
		want  string // the names, in order
	}{
		{"", "catalogue orders payments stock web"},
		{"?sort=-name", "web stock payments orders catalogue"},
		{"?q=ORDER", "orders"},
		{"?q=front", "web"},
		{"?owner=team-shop", "orders stock"},
		{"?health=down", "catalogue"},
		{"?health=degraded", "web"},
		{"?health=empty", "payments"},
		{"?sort=health", "catalogue payments web orders stock"},
		{"?sort=-instances&owner=team-web", "web"},
		{"?page=9", "catalogue orders payments stock web"},
		{"?q=nothing-like-it", ""},
		{"?sort=nonsense&page=-3", "catalogue orders payments stock web"},
	} {
		got := s.get("", "/ui/services"+c.query)
		var names []string
		for _, part := range strings.Split(got.body, `<a href="/ui/services/`)[1:] {
			name, _, _ := strings.Cut(part, `"`)
			names = append(names, name)
		}
		if got.status != 200 || strings.Join(names, " ") != c.want {
			t.Errorf("%s: %d, got %q, want %q", c.query, got.status, strings.Join(names, " "), c.want)
		}
	}
}

func TestTheListOfServicesInABrowser(t *testing.T) {
	s := newSite(t)
	shop(s)
	b := s.tab()
	b.inspect("/ui/services", "services")
	b.inspect("/ui/services?q=nothing-like-it", "services-none")
	b.shape(1000, "light")
	b.visit("/ui/services")
	b.run(chromedp.SendKeys("#q", "pay"), chromedp.WaitNotPresent(`a[href="/ui/services/web"]`))
	if got := b.text(".found"); got != "1 of 5 services" {
		t.Errorf("while one types, the list says %q", got)
	}
	if at := b.at(); !strings.Contains(at, "q=pay") {
		t.Errorf("the address does not say what was looked for: %s", at)
	}
}
