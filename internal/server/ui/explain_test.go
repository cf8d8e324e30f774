package ui_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestExplainAnswersInABrowser(t *testing.T) {
	s := newSite(t)
	shop(s)
	b := s.tab()
	b.inspect("/ui/explain", "explain")
	b.shape(1000, "light")
	b.visit("/ui/explain")
	b.run(chromedp.SendKeys("#from", "orders"), chromedp.SendKeys("#to", "catalogue"), chromedp.Submit("#to"), chromedp.WaitVisible("#stopped"))
	if got := b.text("#stopped"); !strings.Contains(got, "has not declared that it calls") {
		t.Errorf("what stops the call: %q", got)
	}
	if got := b.text(".verdict pre"); !strings.Contains(got, "heddle drift --declare orders catalogue") {
		t.Errorf("what mends it: %q", got)
	}
	b.inspect("/ui/explain?from=web&to=catalogue", "explain-stopped")
	b.inspect("/ui/explain?from=web&to=orders&path=/x&header=x-canary%3A+1", "explain-uncertain")
	if got := b.text(".verdict-uncertain h2"); !strings.Contains(got, "Not known to arrive") {
		t.Errorf("the verdict: %q", got)
	}
}

func TestExplainTakesWhatIsTyped(t *testing.T) {
	s := newSite(t)
	shop(s)
	for query, want := range map[string]string{
		"from=web&to=orders":                        "web may call orders, but the call is not known to arrive",
		"from=web%2Fweb-9&to=orders":                "has no instance &#34;web-9&#34;",
		"from=web&to=payments":                      "has not declared",
		"from=web&to=ordrs":                         "Did you mean &#34;orders&#34;?",
		"from=%3Cscript%3E&to=orders":               "is none of SERVICE",
		"from=web&to=orders&host=%3Cscript%3E":      "&lt;script&gt;",
		"from=web&to=orders&path=x":                 "has to begin with",
		"from=gateway%2Fedge&to=web&host=a.b":       "no route leads to",
		"from=web&to=orders&method=%22%3E%3Cimg%3E": "&lt;img&gt;",
	} {
		got := s.get("", "/ui/explain?"+query)
		if !strings.Contains(got.body, want) || strings.Contains(got.body, "<script>") && !strings.Contains(got.body, "src=") || strings.Contains(got.body, "<img>") {
			t.Errorf("%s: %d, %q is missing in %s", query, got.status, want, got.body)
		}
	}
}

func TestTheImpactOfAService(t *testing.T) {
	s := busyShop(t)
	got := s.get("", "/ui/services/stock/impact")
	for _, want := range []string{"the deletion of stock concerns", "orders", "team-data", "further away", "1 cluster removed"} {
		if !strings.Contains(got.body, want) {
			t.Errorf("%q is missing in %s", want, got.body)
		}
	}
	if got := s.get("", "/ui/services/nobody/impact"); got.status != 404 {
		t.Errorf("of nobody: %d", got.status)
	}
	s.declare(mesh.Service{Name: "alone"})
	if got := s.get("", "/ui/services/alone/impact"); !strings.Contains(got.body, "concerns nobody") {
		t.Errorf("of a service that nobody calls: %s", got.body)
	}
	s.tab().inspect("/ui/services/stock/impact", "impact")
}
