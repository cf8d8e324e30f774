package ui_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/server/ui"
)

const (
	clusterType  = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	listenerType = "type.googleapis.com/envoy.config.listener.v3.Listener"
	routeType    = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
)

// fleet is proxies in all states.
func fleet(many int) []mesh.ProxyStream {
	now := time.Now()
	well := func(url string) mesh.ProxyType {
		return mesh.ProxyType{Type: url, Sent: "5f2a9c01deadbee0", Acknowledged: "5f2a9c01deadbee0"}
	}
	stream := func(node, address, transport string, types ...mesh.ProxyType) mesh.ProxyStream {
		service, instance, _ := strings.Cut(node, "/")
		return mesh.ProxyStream{Node: node, Service: mesh.ServiceName(service), Instance: mesh.InstanceID(instance), Scope: service, Address: address,
			Transport: transport, Connected: now.Add(-3 * time.Hour), Types: types}
	}
	all := []mesh.ProxyStream{
		stream("orders/orders-1", "10.0.0.3:40112", "ads-delta", well(clusterType), well(listenerType)),
		stream("web/web-1", "10.0.0.1:51022", "ads-delta", well(clusterType), mesh.ProxyType{Type: listenerType, Sent: "b", Acknowledged: "a", Rejections: 3, BehindSince: now.Add(-90 * time.Second),
			Rejected: &mesh.Rejection{Message: "Error adding/updating listener(s) own.db.web: <script>alert(1)</script> cannot bind '127.0.0.1:5432': Address already in use", At: now.Add(-time.Minute), Version: "b",
				Objects: []mesh.Origin{{Object: "service/orders", Author: "token:64e609af2ed3", Revision: 41}}}}),
		stream("web/web-2", "10.0.0.2:51022", "cds-sotw", mesh.ProxyType{Type: clusterType, Sent: "b", Acknowledged: "a", BehindSince: now.Add(-5 * time.Minute)}),
		stream("web/web-2", "10.0.0.2:51023", "lds-sotw", mesh.ProxyType{Type: listenerType, Sent: "a", Acknowledged: "a", Rejections: 1, Rejected: &mesh.Rejection{Message: "mended since", At: now.Add(-time.Hour)}}),
		stream("search/search-1", "10.0.0.8:1", "ads-delta", well(clusterType)),
		stream("search/search-1", "10.0.0.9:1", "ads-delta", well(clusterType)),
	}
	for i := range many {
		all = append(all, stream(fmt.Sprintf("stock/stock-%04d", i), fmt.Sprintf("10.1.%d.%d:4", i/250, i%250), "ads-delta", well(clusterType)))
	}
	return all
}

// configOf is what web/web-1 has.
func configOf(q mesh.ProxyQuery) (mesh.ProxyConfig, error) {
	if q.Node != "web/web-1" {
		return mesh.ProxyConfig{}, mesh.NotFound("no proxy %q is connected to this server", q.Node)
	}
	origin := &mesh.Origin{Object: "service/orders", Author: "token:64e609af2ed3", Revision: 41}
	config := json.RawMessage(`{"name":"orders","type":"EDS","eds_cluster_config":{"eds_config":{"ads":{},"resource_api_version":"V3"}},"connect_timeout":"5s"}`)
	all := []mesh.ProxyResource{
		{Type: clusterType, Name: "orders", State: mesh.ResourceSynced, Held: "5f2a9c01deadbee0", Sent: "5f2a9c01deadbee0", Current: "5f2a9c01deadbee0", Newest: "5f2a9c01deadbee0", Origin: origin, Config: config},
		{Type: listenerType, Name: "own.db.web", State: mesh.ResourceRefused, Reason: "a proxy refused the newest version: what it had stays in force", Held: "aaaa9c01deadbee0", Sent: "bbbb9c01deadbee0", Current: "aaaa9c01deadbee0", Newest: "bbbb9c01deadbee0",
			Origin: origin, Refusal: &mesh.ResourceRefusal{Node: "web/web-1", Message: "cannot bind '127.0.0.1:5432': <img src=x onerror=alert(1)>", Version: "bbbb9c01deadbee0", At: time.Now().Add(-time.Minute)},
			Config: config, Holds: json.RawMessage(`{"name":"orders"}`), Diff: "diff held newest\n--- held a\n+++ newest b\n@@ -1,3 +1,3 @@\n {\n-  \"port\": 1,\n+  \"port\": 2,\n }\n"},
		{Type: routeType, Name: "outbound.web", State: mesh.ResourceBehind, Held: "cccc9c01deadbee0", Sent: "cccc9c01deadbee0", Current: "dddd9c01deadbee0", Newest: "dddd9c01deadbee0", Origin: origin, Config: config},
	}
	out := mesh.ProxyConfig{Node: q.Node, Streams: fleet(0)[1:2], Differing: 2, Next: "", Counts: map[string]map[mesh.ResourceState]int{
		"clusters": {mesh.ResourceSynced: 1}, "listeners": {mesh.ResourceRefused: 1}, "routes": {mesh.ResourceBehind: 1}}}
	for _, one := range all {
		if (q.Type == "" || q.Type == one.Type) && strings.Contains(one.Name, q.Name) && (!q.Differ || one.Differs()) && q.After == "" {
			out.Resources = append(out.Resources, one)
		}
	}
	out.Total = len(out.Resources)
	if q.Name == "o" {
		out.Next = "routes/outbound.web"
	}
	return out, nil
}

func newFleet(t *testing.T, many int) *site {
	s := newSite(t, func(cfg *ui.Config) {
		cfg.Streams = func() []mesh.ProxyStream { return fleet(many) }
		cfg.ProxyConfig = configOf
	})
	shop(s)
	return s
}

func nodesOf(body string) string {
	var nodes []string
	for _, part := range strings.Split(body, `<a href="/ui/proxies/`)[1:] {
		node, _, _ := strings.Cut(part, `"`)
		nodes = append(nodes, node)
	}
	return strings.Join(nodes, " ")
}

func TestProxiesAreFound(t *testing.T) {
	if body := newSite(t).get("", "/ui/proxies").body; !strings.Contains(body, "No proxy is connected") {
		t.Error("without proxies the page says nothing of what to do")
	}
	s := newFleet(t, 0)
	for query, want := range map[string]string{
		"":               "web/web-1 web/web-2 search/search-1 orders/orders-1", // what needs somebody first, each once
		"?state=behind":  "web/web-1 web/web-2",
		"?state=refused": "web/web-1",
		"?state=twice":   "search/search-1",
		"?q=ORDERS":      "orders/orders-1",
		"?q=10.0.0.2":    "web/web-2",
		"?q=none":        "",
	} {
		if got := s.get("", "/ui/proxies"+query); got.status != 200 || nodesOf(got.body) != want {
			t.Errorf("%s: %d %q, want %q", query, got.status, nodesOf(got.body), want)
		}
	}
	body := s.get("", "/ui/proxies").body
	for _, want := range []string{"2 behind, 1 of them", "cannot bind &#39;127.0.0.1:5432&#39;", `<a href="/ui/services/orders">service/orders</a> (revision 41)`, "cds-sotw, lds-sotw", "Two proxies have this id", "connected to this server"} {
		if !strings.Contains(body, want) {
			t.Errorf("the list does not have %q", want)
		}
	}
	if strings.Contains(body, "token:64e609af2ed3") {
		t.Error("the list tells everybody who wrote what a proxy refused")
	}
	if body := s.get(s.admin, "/ui/proxies").body; !strings.Contains(body, ", written by token:64e609af2ed3 (revision 41)") {
		t.Error("the list does not tell an admin who wrote what a proxy refused")
	}
	if strings.Contains(body, "<script>alert") || strings.Contains(body, "mended since") {
		t.Error("the list has what a proxy made up, or a refusal that is mended")
	}
}

// Two thousand proxies are shown a hundred at a time, at once.
func TestManyProxies(t *testing.T) {
	s := newFleet(t, 2000)
	start := time.Now()
	first := s.get("", "/ui/proxies")
	took := time.Since(start)
	if n := len(strings.Fields(nodesOf(first.body))); n != 100 || !strings.Contains(first.body, "page 1 of 21") {
		t.Errorf("the first page has %d", n)
	}
	if last := s.get("", "/ui/proxies?page=21&q=stock"); len(strings.Fields(nodesOf(last.body))) != 100 || !strings.Contains(last.body, "page=19&amp;q=stock") {
		t.Errorf("the last page: %s", nodesOf(last.body))
	}
	if took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	t.Logf("the first page of 2,004 proxies in %s, %d bytes", took, len(first.body))
}

func TestAProxy(t *testing.T) {
	s := newFleet(t, 0)
	whole := s.get("", "/ui/proxies/web/web-1")
	for _, want := range []string{"own.db.web", "what it had stays in force", "&lt;img src=x", "diff-added", "aaaa9c01deadbee0", "2 resources are", "?show=differs", "does not keep the held version", "&#34;connect_timeout&#34;: &#34;5s&#34;"} {
		if whole.status != 200 || !strings.Contains(whole.body, want) {
			t.Errorf("%d: the page does not have %q", whole.status, want)
		}
	}
	for query, want := range map[string]int{"": 3, "?type=listeners": 1, "?name=o": 3, "?show=differs": 2, "?type=routes&show=differs": 1, "?name=none": 0} {
		if got := strings.Count(s.get("", "/ui/proxies/web/web-1"+query).body, "<details"); got != want {
			t.Errorf("%s: %d resources, want %d", query, got, want)
		}
	}
	if body := s.get("", "/ui/proxies/web/web-1?name=o").body; !strings.Contains(body, `href="/ui/proxies/web/web-1?after=routes%2Foutbound.web&amp;name=o"`) {
		t.Error("there is no way to the next page")
	}
	for _, path := range []string{"/ui/proxies/web/web-9", "/ui/proxies/", "/ui/proxies/%3Cscript%3E"} {
		if got := s.get("", path); got.status != 404 || strings.Contains(got.body, "<script>") {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	closed := newSite(t, func(cfg *ui.Config) { cfg.RequireReadToken, cfg.ProxyConfig = true, configOf })
	if got := closed.get("", "/ui/proxies/web/web-1"); got.status != 303 {
		t.Errorf("without signing in: %d", got.status)
	}
}

func TestProxiesInABrowser(t *testing.T) {
	s := newFleet(t, 3)
	b := s.tab()
	b.inspect("/ui/proxies", "proxies")
	b.inspect("/ui/proxies/web/web-1", "proxy")
	b.inspect("/ui/proxies/web/web-1?type=listeners", "proxy-refused") // the only one is open
	b.shape(1000, "light")
	b.visit("/ui/proxies")
	b.run(chromedp.SendKeys("#q", "orders"), chromedp.WaitNotPresent(`a[href="/ui/proxies/web/web-1"]`))
	b.visit("/ui/proxies/web/web-1")
	var hidden bool
	b.evaluate(`document.querySelector(".dump").checkVisibility() === false`, &hidden)
	if !hidden {
		t.Error("the dumps are not collapsed")
	}
	b.run(chromedp.Click(".resource summary"), chromedp.WaitVisible(".resource[open] .dump"))
}
