package ui_test

import (
	"fmt"
	"html"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// stored reads a service as the registry has it.
func (s *site) stored(name mesh.ServiceName) mesh.Service {
	s.t.Helper()
	got, err := s.store.Service(s.t.Context(), name)
	if err != nil {
		s.t.Fatal(err)
	}
	got.Meta = mesh.Meta{}
	return got
}

// press clicks a button of the form by what it does, and waits for the next page
// or part, which shows an element.
func (b *tab) press(do, until string) {
	b.t.Helper()
	button := `form.object button[name="~do"][value="` + do + `"]:not(.hidden)`
	b.run(chromedp.WaitVisible(button, chromedp.ByQuery))
	b.evaluate(fmt.Sprintf(`document.querySelector(%q).click()`, button), nil) // not where it was a moment ago
	b.run(chromedp.WaitReady(until, chromedp.ByQuery))
}

// fill types into fields, over what they have.
func (b *tab) fill(fields ...string) {
	b.t.Helper()
	for i := 0; i < len(fields); i += 2 {
		b.run(chromedp.WaitVisible(fields[i], chromedp.ByQuery))
		b.evaluate(fmt.Sprintf(`(e => { e.focus(); e.select() })(document.querySelector(%q))`, fields[i]), nil)
		b.run(chromedp.KeyEvent(fields[i+1]))
	}
}

// choose takes an entry of a select.
func (b *tab) choose(field, value string) {
	b.t.Helper()
	b.evaluate(fmt.Sprintf(`(e => { e.value = %q; e.dispatchEvent(new Event("change", {bubbles: true})) })(document.querySelector(%q))`, value, field), nil)
}

func TestAServiceIsRegisteredInABrowser(t *testing.T) {
	for _, scripts := range []bool{true, false} {
		t.Run(map[bool]string{true: "with scripts", false: "without scripts"}[scripts], func(t *testing.T) {
			s := newSite(t)
			s.declare(mesh.Service{Name: "payments"}, mesh.Service{Name: "paypal", Deprecated: "use payments"}, mesh.Service{Name: "web", Dependencies: []mesh.ServiceName{"orders"}})
			b := s.tab()
			b.run(emulation.SetScriptExecutionDisabled(!scripts))
			b.visit("/ui/declare/service") // a reader is told to sign in, and comes back
			b.run(chromedp.WaitReady("#token"), chromedp.SendKeys("#token", s.token(registry.Token{Description: "Ada", Owners: []string{"team-shop", "team-web"}})), chromedp.Submit("#token"), chromedp.WaitReady("form.object"))
			b.fill("#f-name", "orders", "#f-description", "Takes orders", "#f-port", "8080")
			b.choose("#f-owner", "team-web")
			b.choose("#f-protocol", "http")
			b.fill("#f-dependencies-find", "pay")
			if !scripts {
				b.press("find:dependencies", ".offer")
			}
			b.run(chromedp.WaitReady(".offer", chromedp.ByQuery))
			b.press("add-name:dependencies:payments", ".chosen li:nth-child(1)")
			b.fill("#f-dependencies-find", "unheard-of")
			b.press("add-name:dependencies", ".chosen li:nth-child(2) .chip-warn")
			if got := b.text(".chosen li:nth-child(2)"); !strings.Contains(got, "pending") {
				t.Errorf("a name that nobody has declared is shown as %q", got)
			}
			b.run(chromedp.Click("#f-Subsets-and-routes summary", chromedp.ByQuery))
			b.press("add-row:subsets", "#f-subsets-0--name")
			if !scripts {
				b.run(chromedp.WaitVisible("#f-subsets-0--name", chromedp.ByQuery))
			}
			b.fill("#f-subsets-0--name", "v2", "#f-subsets-0--labels", "version=v2")
			b.press("review", ".differences")
			if got := b.text(".notes"); !strings.Contains(got, "pending") || !strings.Contains(got, "unheard-of") {
				t.Errorf("the review says %q", got)
			}
			b.run(chromedp.Click(`button[value="save"]`, chromedp.ByQuery), chromedp.WaitReady(".notice"))
			want := mesh.Service{
				Name: "orders", Owner: "team-web", Description: "Takes orders", Protocol: mesh.HTTP, Port: 8080,
				Dependencies: []mesh.ServiceName{"payments", "unheard-of"}, Subsets: []mesh.Subset{{Name: "v2", Labels: map[string]string{"version": "v2"}}},
			}
			if diff := cmp.Diff(want, s.stored("orders")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// opened reads the fields of a form out of a page, as a browser posts them.
func opened(t *testing.T, page string) []string {
	t.Helper()
	_, inside, is := strings.Cut(page, `<form class="object"`)
	inside, _, _ = strings.Cut(inside, "</form>")
	if !is {
		t.Fatalf("no form in %s", page)
	}
	var out []string
	add := func(name, value string) { out = append(out, html.UnescapeString(name), html.UnescapeString(value)) }
	attribute := func(tag, name string) string {
		found := regexp.MustCompile(`(?s)\s` + name + `="([^"]*)"`).FindStringSubmatch(tag)
		if found == nil {
			return ""
		}
		return found[1]
	}
	for _, found := range regexp.MustCompile(`(?s)<input [^>]*>|<textarea [^>]*>(.*?)</textarea>|<select [^>]*>(.*?)</select>`).FindAllStringSubmatch(inside, -1) {
		tag, _, _ := strings.Cut(found[0], ">")
		name := attribute(tag, "name")
		switch kind := attribute(tag, "type"); {
		case (kind == "checkbox" || kind == "radio") && !regexp.MustCompile(`\schecked`).MatchString(tag):
		case strings.HasPrefix(tag, "<textarea"):
			add(name, strings.ReplaceAll(strings.TrimPrefix(found[1], "\n"), "\n", "\r\n"))
		case strings.HasPrefix(tag, "<select"):
			options := regexp.MustCompile(`<option value="([^"]*)"( selected)?>`).FindAllStringSubmatch(found[2], -1)
			chosen := options[0][1]
			for _, one := range options {
				if one[2] != "" {
					chosen = one[1]
				}
			}
			add(name, chosen)
		default:
			add(name, attribute(tag, "value"))
		}
	}
	return out
}

// with sets fields in what is posted; a value of "-" takes the field out.
func with(fields []string, changes ...string) []string {
	out := slices.Clone(fields)
	for i := 0; i < len(changes); i += 2 {
		for j := 0; j < len(out); j += 2 {
			if out[j] == changes[i] {
				out = slices.Delete(out, j, j+2)
				j -= 2
			}
		}
		if changes[i+1] != "-" {
			out = append(out, changes[i], changes[i+1])
		}
	}
	return out
}

const editOrders = "/ui/services/orders/edit"

func TestAllFaultsStandBesideTheirFields(t *testing.T) {
	s := newSite(t)
	s.declare(mesh.Service{Name: "orders"})
	b := s.tab()
	b.signIn(s.admin)
	b.visit("/ui/declare/service")
	b.fill("#f-name", "Not A Name", "#f-port", "eighty", "#f-owner", " ")
	b.run(chromedp.Click("#f-traffic summary", chromedp.ByQuery))
	b.fill("#f-traffic-timeout", "15", "#f-traffic-idleTimeout", "99999h")
	b.press("review", "#faults")
	var found []string
	b.evaluate(`[...document.querySelectorAll('[aria-invalid="true"]')].map(e => e.name)`, &found)
	if diff := cmp.Diff([]string{"name", "owner", "protocol", "port", "traffic.timeout", "traffic.idleTimeout"}, found); diff != "" {
		t.Error(diff)
	}
	var open bool
	b.evaluate(`document.querySelector("#f-traffic").open`, &open)
	var typed []string
	b.evaluate(`["f-name", "f-port", "f-traffic-timeout"].map(id => document.getElementById(id).value)`, &typed)
	if diff := cmp.Diff([]string{"Not A Name", "eighty", "15"}, typed); diff != "" || !open {
		t.Errorf("what was typed became %s; the section with faults is open: %v", diff, open)
	}
	if got := b.text("#f-dependencies .fault"); !strings.Contains(got, "required") {
		t.Errorf("dependencies: %q", got)
	}
	b.axe()
	b.picture("service-faults")
	var focused string
	b.evaluate(`document.activeElement.id`, &focused)
	if focused != "faults" {
		t.Errorf("the focus is on %q, and should be on the summary of the faults", focused)
	}
	b.run(chromedp.Click(`#faults a[href="#f-traffic-timeout"]`, chromedp.ByQuery))
	b.evaluate(`document.activeElement.id`, &focused)
	if focused != "f-traffic-timeout" {
		t.Errorf("a link of the summary leads to %q", focused)
	}
	// A field is checked when it is left, and the focus stays where it went to.
	b.fill("#f-traffic-timeout", "20s")
	b.run(chromedp.KeyEvent(kb.Tab), chromedp.WaitReady(`#f-traffic-timeout:not([aria-invalid])`, chromedp.ByQuery), chromedp.WaitNotPresent("#f-traffic-timeout-faults .fault", chromedp.ByQuery))
	b.evaluate(`document.activeElement.id`, &focused)
	if focused != "f-traffic-connectTimeout" {
		t.Errorf("after a field was checked the focus is on %q", focused)
	}
}

func TestTwoPeopleEditOneService(t *testing.T) {
	for _, take := range []string{"mine", "theirs"} {
		s := newSite(t)
		s.declare(mesh.Service{Name: "payments"}, mesh.Service{Name: "stock"}, mesh.Service{Name: "orders", Description: "before", Dependencies: []mesh.ServiceName{"payments"}})
		b := s.tab()
		b.signIn(s.admin)
		b.visit(editOrders)
		s.declare(mesh.Service{Name: "orders", Description: "theirs", Port: 9090, Dependencies: []mesh.ServiceName{"payments", "stock"}})
		b.fill("#f-description", "mine")
		b.choose("#f-tier", "2")
		b.press("review", ".clash")
		b.axe()
		if take == "mine" {
			b.picture("service-clash")
		}
		b.run(chromedp.Click(`input[name="~take:description"][value="`+take+`"]`, chromedp.ByQuery))
		b.press("resolve", `button[value="save"]`)
		if take == "mine" {
			b.picture("service-review")
		}
		b.run(chromedp.Click(`button[value="save"]`, chromedp.ByQuery), chromedp.WaitReady(".notice"))
		want := mesh.Service{Name: "orders", Owner: "team-shop", Description: take, Tier: 2, Protocol: mesh.HTTP, Port: 9090, Dependencies: []mesh.ServiceName{"payments", "stock"}}
		if diff := cmp.Diff(want, s.stored("orders")); diff != "" {
			t.Errorf("taking %s: %s", take, diff)
		}
	}
}

func TestNothingIsOverwrittenSilently(t *testing.T) {
	s := newSite(t)
	s.declare(mesh.Service{Name: "orders", Description: "before"})
	form := with(opened(t, s.get(s.admin, editOrders).body), "description", "mine", "~do", "save")
	s.declare(mesh.Service{Name: "orders", Description: "theirs"})
	got := s.post(s.admin, editOrders, form...)
	if got.status != http.StatusConflict || s.stored("orders").Description != "theirs" {
		t.Fatalf("%d, stored is %q", got.status, s.stored("orders").Description)
	}
	undecided := s.post(s.admin, editOrders, with(opened(t, got.body), "~do", "resolve")...)
	if undecided.status != http.StatusConflict {
		t.Errorf("without a choice: %d", undecided.status)
	}
	resolve := with(opened(t, got.body), "~take:description", "mine", "~do", "resolve")
	s.declare(mesh.Service{Name: "orders", Description: "theirs again"}) // once more
	again := s.post(s.admin, editOrders, resolve...)
	if again.status != http.StatusConflict || !strings.Contains(again.body, "theirs again") {
		t.Errorf("changed once more: %d", again.status)
	}
	if err := s.store.DeleteService(t.Context(), "orders", by); err != nil {
		t.Fatal(err)
	}
	gone := s.post(s.admin, editOrders, form...)
	if gone.status != http.StatusConflict || !strings.Contains(gone.body, "deleted meanwhile") || !strings.Contains(gone.body, ">mine</textarea>") && !strings.Contains(gone.body, "\nmine</textarea>") {
		t.Errorf("deleted meanwhile: %d", gone.status)
	}
	anew := s.post(s.admin, editOrders, with(opened(t, gone.body), "~do", "anew")...)
	saved := s.post(s.admin, editOrders, with(opened(t, anew.body), "~do", "save")...)
	if saved.status != http.StatusSeeOther || s.stored("orders").Description != "mine" {
		t.Errorf("declared anew: %d, then %d", anew.status, saved.status)
	}
	created := s.post(s.admin, "/ui/declare/service", "~do", "save", "name", "orders", "owner", "me", "protocol", "tcp", "port", "1", "dependencies#which", "nothing")
	if created.status != http.StatusConflict || s.stored("orders").Description != "mine" {
		t.Errorf("registering what there is: %d", created.status)
	}
}

func TestTheFormOfAServiceWithEverythingInIt(t *testing.T) {
	s := newSite(t)
	s.declare(mesh.Service{Name: "payments", Access: mesh.Access{Callers: mesh.ApprovedCallers}}, mesh.Service{Name: "stock", Deprecated: "use storage"}, mesh.Service{
		Name: "orders", Description: "Takes orders, and tells the others.", Tier: 1, Dependencies: []mesh.ServiceName{"payments", "stock", "ledger"},
		HealthCheck: &mesh.HealthCheck{Type: mesh.CheckHTTP, Path: "/healthz"},
		Traffic: mesh.Traffic{
			Timeout: mesh.Duration(3e9), Retries: &mesh.Retries{Attempts: 2, On: []string{"5xx", "reset"}}, CircuitBreaker: &mesh.CircuitBreaker{MaxRequests: 200},
			LoadBalancing: mesh.LoadBalancing{Policy: mesh.LeastRequest, LocalityWeights: []mesh.LocalityWeight{{Region: "eu", Weight: 3}}},
		},
		Subsets: []mesh.Subset{{Name: "v1", Labels: map[string]string{"version": "v1"}}, {Name: "v2", Labels: map[string]string{"version": "v2"}}},
		Routes: []mesh.RouteRule{
			{Match: mesh.RequestMatch{Path: &mesh.PathMatch{Prefix: "/api"}, Headers: []mesh.HeaderMatch{{Name: "x-canary", Exact: "yes"}}}, To: []mesh.WeightedSubset{{Subset: "v2", Weight: 1}}},
			{To: []mesh.WeightedSubset{{Subset: "v1", Weight: 95}, {Subset: "v2", Weight: 5}}},
		},
		Access: mesh.Access{Callers: mesh.ApprovedCallers, Approved: []string{"web", "gateway/edge"}, MTLS: mesh.Strict},
	})
	b := s.tab()
	b.signIn(s.admin)
	b.inspect(editOrders, "service-edit")
	before := s.stored("orders")
	b.press("review", `button[value="save"]`)
	if got := b.text("main"); !strings.Contains(got, "Nothing is changed") {
		t.Errorf("looking at it changes something: %s", got)
	}
	b.run(chromedp.Click(`button[value="save"]`, chromedp.ByQuery), chromedp.WaitReady(".notice"))
	if diff := cmp.Diff(before, s.stored("orders")); diff != "" {
		t.Error(diff)
	}
	// Rows are moved and taken out, and the rest stays as it was.
	b.visit(editOrders)
	b.press("raise-row:routes[1]", "#f-routes-0--to-1")
	b.press("remove-row:routes[1]", "#f-routes-add")
	b.run(chromedp.WaitNotPresent("#f-routes-1", chromedp.ByQuery))
	b.press("remove-name:dependencies:ledger", "#f-dependencies")
	b.run(chromedp.WaitNotPresent(".names .chosen li:nth-child(3)", chromedp.ByQuery))
	b.press("review", `button[value="save"]`)
	b.run(chromedp.Click(`button[value="save"]`, chromedp.ByQuery), chromedp.WaitReady(".notice"))
	want := before
	want.Routes, want.Dependencies = before.Routes[1:], before.Dependencies[:2]
	if diff := cmp.Diff(want, s.stored("orders")); diff != "" {
		t.Error(diff)
	}
}

func TestAReviewTellsWhatChangesInSidecars(t *testing.T) {
	s := newSite(t)
	s.declare(mesh.Service{Name: "orders"}, mesh.Service{Name: "web", Dependencies: []mesh.ServiceName{"orders"}}, mesh.Service{Name: "stock"})
	b := s.tab()
	b.signIn(s.admin)
	b.visit(editOrders)
	b.run(chromedp.Click("#f-traffic summary", chromedp.ByQuery))
	b.fill("#f-traffic-timeout", "3s")
	b.press("review", "#plan")
	got := b.text(`[aria-labelledby="plan"]`)
	if !strings.Contains(got, "web") || strings.Contains(got, "stock") {
		t.Errorf("the plan says %q", got)
	}
	b.run(chromedp.Click(".planned summary", chromedp.ByQuery))
	b.axe()
	b.picture("service-plan")
}
