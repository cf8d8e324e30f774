package ui_test

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/server/ui"
)

// busy is what proxies saw of the shop's calls: of each kind one.
func busy(c *ui.Config) {
	c.Observed = func(context.Context) (insight.Observed, error) {
		now := time.Now()
		return insight.Observed{Edges: []mesh.Edge{
			{Caller: "gateway/edge", Callee: "web", Requests: 9000, RequestRate: 240, FirstSeen: now.Add(-time.Hour), LastSeen: now},
			{Caller: "web", Callee: "orders", Requests: 900, RequestRate: 40, ErrorRate: 0.4, FirstSeen: now.Add(-time.Hour), LastSeen: now},
			{Caller: "web", Callee: "catalogue", Requests: 9000, RequestRate: 180, FirstSeen: now.Add(-time.Hour), LastSeen: now},
			{Caller: "orders", Callee: "stock", Requests: 9, Refused: 9, RefusedRate: 0.1, FirstSeen: now, LastSeen: now, LastRefused: now, Reason: "caller"},
			{Caller: "catalogue", Callee: "prices.example.com", Requests: 2, Undeclared: 2, FirstSeen: now, LastSeen: now, LastRefused: now, Reason: "undeclared"},
			{Caller: "reports", Callee: "stock", Requests: 2, FirstSeen: now.Add(-60 * 24 * time.Hour), LastSeen: now.Add(-40 * 24 * time.Hour)},
		}}, nil
	}
}

func busyShop(t *testing.T) *site {
	s := newSite(t, busy)
	shop(s)
	s.declare(mesh.Service{Name: "reports", Owner: "team-data", Dependencies: []mesh.ServiceName{"stock"}}, mesh.Service{Name: "playground", Owner: "team-web"})
	if _, err := s.store.PutRoute(t.Context(), mesh.Route{Name: "shop", Owner: "team-web", Hosts: []string{"shop.example.com"}, Gateways: []mesh.ServiceName{"edge"}, Backends: []mesh.WeightedBackend{{Service: "web", Weight: 1}}}, by); err != nil {
		t.Fatal(err)
	}
	s.seen()
	return s
}

func TestTopologyWithoutScripts(t *testing.T) {
	s := busyShop(t)
	for path, want := range map[string][]string{
		"/ui/topology":                             {`<svg `, `href="/ui/topology?focus=orders"`, "undeclared, tried", "prices.example.com", "10 nodes, 8 calls", "Not connected"},
		"/ui/topology?focus=payments":              {"<h1>Topology of payments</h1>", "2 nodes, 1 call", `href="/ui/services/payments"`, `href="/ui/topology?focus=orders"`},
		"/ui/topology?focus=payments&depth=2":      {"3 nodes, 2 calls", `href="/ui/topology?depth=2&amp;focus=orders"`, `<option selected>2</option>`, `href="/ui/topology.svg?depth=2&amp;focus=payments"`},
		"/ui/topology?focus=prices.example.com":    {"2 nodes, 1 call"},
		"/ui/topology?focus=gateway%2Fedge":        {"Topology of gateway/edge"},
		"/ui/topology?state=refused":               {`selected>refused in the last hour (1)`, `<details class="card flush calls" id="calls" open>`},
		"/ui/topology?focus=web&depth=nonsense":    {"Topology of web"},
		"/ui/topology?focus=web&depth=99&page=-12": {`<option selected>10</option>`},
	} {
		got := s.get("", path)
		for _, text := range want {
			if got.status != 200 || !strings.Contains(got.body, text) {
				t.Errorf("%s: %d, without %q:\n%s", path, got.status, text, got.body)
			}
		}
	}
	if got := s.get("", "/ui/topology?focus=nobody"); got.status != 404 || !strings.Contains(got.body, "nobody") {
		t.Errorf("an unknown focus: %d %s", got.status, got.body)
	}
	file := s.get("", "/ui/topology.svg?focus=orders&depth=2")
	if file.header.Get("Content-Disposition") != `attachment; filename="orders.svg"` || file.header.Get("Content-Type") != "image/svg+xml" {
		t.Errorf("the file: %v", file.header)
	}
	for d := xml.NewDecoder(strings.NewReader(file.body)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the file: %v: %s", err, file.body)
		}
	}
}

func TestTopologyOfNothing(t *testing.T) {
	if body := newSite(t).get("", "/ui/topology").body; !strings.Contains(body, "Nothing to draw yet") {
		t.Error(body)
	}
}

// Hosts in the picture are whatever a caller asked for.
func TestNoNameInThePictureBecomesMarkup(t *testing.T) {
	evil := `"><script>alert(1)</script><a onclick='x'>`
	s := newSite(t, func(c *ui.Config) {
		c.Observed = func(context.Context) (insight.Observed, error) {
			return insight.Observed{Edges: []mesh.Edge{{Caller: "web", Callee: evil, Requests: 1, Undeclared: 1, LastSeen: time.Now(), Reason: evil}}}, nil
		}
	})
	shop(s)
	for _, path := range []string{"/ui/topology", "/ui/topology.svg", "/ui/topology?focus=web"} {
		if body := s.get("", path).body; strings.Contains(body, "<script>alert") || strings.Contains(body, "<a onclick") || !strings.Contains(body, "alert(1)") {
			t.Errorf("%s: %s", path, body)
		}
	}
	b := s.tab()
	b.visit("/ui/topology") // a dialogue fails the test
}

func TestTopologyInABrowser(t *testing.T) {
	s := busyShop(t)
	b := s.tab()
	b.visit("/ui/topology")
	var dimmed, over int
	hover := func(node string) {
		b.evaluate(`(() => { const n = [...document.querySelectorAll(".nodes > .node")].find(n => n.querySelector("title").textContent.split("\n")[0] === "`+node+`");
			n.dispatchEvent(new PointerEvent("pointerover", {bubbles: true, pointerType: "mouse"})); return document.querySelectorAll(".veil.drawn").length })()`, &dimmed)
		b.evaluate(`document.querySelectorAll(".above > .node").length`, &over)
	}
	if hover("orders"); dimmed != 1 || over != 4 {
		t.Errorf("pointing at orders draws %d veils and lights up %d nodes, want it, web, payments and stock", dimmed, over)
	}
	b.run(chromedp.SendKeys("#find", "or"))
	if got := b.text("#found"); !strings.HasPrefix(got, "2 found") {
		t.Errorf("finding: %q", got) // orders and reports
	}
	b.run(chromedp.SendKeys("#find", "\r"))
	if got := b.text("#found"); got != "1 of 2" {
		t.Errorf("going there: %q", got)
	}
	width := func() (w float64) {
		b.evaluate(`document.querySelector("#picture svg").getBoundingClientRect().width`, &w)
		return w
	}
	before := width()
	b.run(chromedp.Click(`[data-zoom="in"]`))
	if now := width(); now < before*1.2 {
		t.Errorf("larger: %v to %v", before, now)
	}
	b.run(chromedp.Focus("#picture"), chromedp.KeyEvent("0"))
	if now := width(); now > before*1.01 {
		t.Errorf("fitted: %v, was %v", now, before)
	}
	b.run(chromedp.Click(`//*[contains(@class,"node")][*[name()="title" and starts-with(.,"orders")]]`, chromedp.BySearch), chromedp.WaitVisible(`//h1[contains(.,"of orders")]`, chromedp.BySearch))
	b.inspect("/ui/topology", "topology")
	b.inspect("/ui/topology?focus=orders&depth=2", "topology-focus")
}

// large declares services in tiers; each calls a few of the next ones.
func large(s *site, services int) {
	s.t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	const tiers = 7
	for i := range services {
		one := mesh.Service{Name: mesh.ServiceName(fmt.Sprintf("service-%d", i)), Owner: fmt.Sprintf("team-%d", i%20), Protocol: mesh.HTTP, Port: 8080, Dependencies: []mesh.ServiceName{}}
		next := (i*tiers/services + 1) * services / tiers
		for range random.IntN(8) {
			to := next + random.IntN(services/tiers)
			if random.IntN(5) == 0 {
				to = services*19/20 - 1 - random.IntN(services/80+1)
			}
			if to < services*19/20 && to > i {
				one.Dependencies = append(one.Dependencies, mesh.ServiceName(fmt.Sprintf("service-%d", to)))
			}
		}
		changes := []mesh.Change{{Service: &one}}
		for k := range 10 {
			copied := mesh.Instance{Service: one.Name, ID: mesh.InstanceID(fmt.Sprint(k)), Address: "10.0.0.1", Port: 8080}
			if i%40 == 7 && k > i%3*4 {
				copied.Health = mesh.Unhealthy
			}
			changes = append(changes, mesh.Change{Instance: &copied})
		}
		s.catalog.Apply(int64(i+1000), true, changes)
	}
}

// frames moves and zooms the picture as fast as frames come, and gives the median
// time of one in milliseconds.
const frames = `(async () => {
	const box = document.getElementById("picture"), wait = () => new Promise(requestAnimationFrame), median = (all) => all.sort((a, b) => a - b)[all.length >> 1];
	const key = (k) => box.dispatchEvent(new KeyboardEvent("keydown", {key: k, bubbles: true}));
	const measure = async (step) => { const all = []; let last = await wait(); for (let i = 0; i < 10; i++) { step(i); const now = await wait(); all.push(now - last); last = now } return median(all) };
	const far = await measure((i) => { box.scrollLeft += i % 2 ? 5 : -5 });
	const zoom = await measure((i) => key(i < 5 ? "+" : "-"));
	key("1");
	box.scrollLeft = box.scrollWidth / 2; box.scrollTop = box.scrollHeight / 2;
	await wait(); await wait();
	const near = await measure(() => { box.scrollLeft += 20; box.scrollTop += 10 });
	const node = document.elementsFromPoint(innerWidth / 2, 600).find((one) => one.closest(".node")) || document.querySelector(".node");
	const hover = await measure((i) => node.dispatchEvent(new PointerEvent(i % 2 ? "pointerleave" : "pointerover", {bubbles: true, pointerType: "mouse"})));
	return JSON.stringify({far, zoom, near, hover, paint: performance.getEntriesByName("first-contentful-paint")[0].startTime, elements: document.querySelectorAll("#picture *").length})
})()`

// How long things take on a machine that does nothing else is in
// docs/benchmarks.md; here they may take many times that.
func TestALargeTopologyIsUsable(t *testing.T) {
	for _, services := range []int{300, 2000} {
		s := newSite(t)
		large(s, services)
		b := s.tab()
		b.shape(1600, "light")
		b.visit("/ui/topology")
		var said string
		b.evaluate(frames, &said)
		t.Logf("%d services: %s", services, said)
		var took struct{ Far, Zoom, Near, Hover, Paint float64 }
		if err := json.Unmarshal([]byte(said), &took); err != nil {
			t.Fatal(err)
		}
		if took.Far > 1000 || took.Near > 1000 || took.Zoom > 3000 || took.Hover > 3000 || took.Paint > 20000 {
			t.Errorf("%d services: %+v", services, took)
		}
	}
}
