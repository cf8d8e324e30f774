package translate_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/translate"
)

func TestRoutesRedirect(t *testing.T) {
	to := func(prefix string, r mesh.Redirect) mesh.Route {
		one := under(prefix, route("r", "x.example"))
		one.Redirect = &r
		return one
	}
	exact := to("/one", mesh.Redirect{Path: "/two", Status: 308})
	exact.Match.Path = &mesh.PathMatch{Exact: "/one"}
	whole := to("/whole", mesh.Redirect{Path: `/w/%REQ(x)%\1`})
	whole.WholePath = true
	at := startEdge(t, &input{Routes: []mesh.Route{
		whole, exact, to("/old", mesh.Redirect{Path: "/new", Status: 301}), to("/deep", mesh.Redirect{Host: "www.example", Path: "/"}),
		to("/port", mesh.Redirect{Port: 9999}), to("/host", mesh.Redirect{Host: "www.example"}),
		to("/six", mesh.Redirect{Host: "2001:db8::1", Port: 99}), to("/percent", mesh.Redirect{Path: `/a%20b/%REQ(x)%/\1`}),
		to("/up", mesh.Redirect{Host: "www.example.", Path: "/%REQ(x)%"}),
	}})
	for path, want := range map[string]string{
		"/one?q=1":     "308 http://x.example:8080/two?q=1",
		"/whole/x?q=1": `302 http://x.example:8080/w/%REQ(x)%\1?q=1`,
		"/old":         "301 http://x.example:8080/new",
		"/old/a?b=c":   "301 http://x.example:8080/new/a?b=c",
		"/deep/a/b":    "302 http://www.example/a/b",
		"/deep":        "302 http://www.example/",
		"/host/a?b":    "302 http://www.example/host/a?b",
		"/port/a":      "302 http://x.example:9999/port/a",
		"/six":         "302 http://[2001:db8::1]:99/six",
		"/percent/x":   `302 http://x.example:8080/a%20b/%REQ(x)%/\1/x`,
		"/up/x":        "302 http://www.example/%REQ(x)%/x",
		"/deep/%0d%0a": "302 http://www.example/%0d%0a",
	} {
		status, header, _ := raw(t, at, "GET "+path+" HTTP/1.1\r\nHost: x.example:8080\r\n\r\n")
		if got := fmt.Sprintf("%d %s", status, header.Get("Location")); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

// What a route says of the host and the path comes before what the service says.
func TestRoutesRewriteHostsAndWholePaths(t *testing.T) {
	own := service("own", mesh.HTTP)
	own.Traffic.HostHeader = "own.internal"
	one, split, pattern, all := under("/one", route("r", "x.example", "own")), under("/split", route("r", "x.example", "own", "other")), under("/p", route("r", "x.example", "own")), route("all", "y.example", "other")
	one.RewriteHost = "route.internal:8080"
	split.RewriteHost = "route.internal"
	pattern.Match.Path, pattern.Rewrite, pattern.WholePath = &mesh.PathMatch{Regex: "/p[0-9]+/.*"}, `/new/\1`, true
	all.Rewrite, all.WholePath = "/all", true
	at := startEdge(t, &input{Services: []mesh.Service{own}, Routes: []mesh.Route{one, split, pattern, all}}, "own", "other")
	for range 20 {
		for _, c := range [][3]string{
			{"x.example", "/one/a?q", "own route.internal:8080 /one/a?q"}, {"x.example", "/split", " route.internal /split"},
			{"x.example", "/p12/x?q=/p3/", `own own.internal /new/%5C1?q=/p3/`}, {"y.example", "/?a=b", "other y.example /all?a=b"}, {"y.example", "/x/y", "other y.example /all"},
		} {
			if got := call(t, at, c[0], c[1], nil); got.status != 200 || !strings.HasSuffix(strings.TrimSpace(got.body), c[2]) {
				t.Errorf("%s%s: %d %q", c[0], c[1], got.status, got.body)
			}
		}
	}
}

func TestBackendsShareByWeight(t *testing.T) {
	split := route("split", "split.example", "one", "two", "three")
	split.Backends[0].Weight, split.Backends[2].Weight = 3, 0
	nowhere := route("nowhere", "nowhere.example", "one", mesh.NoBackend)
	nowhere.Backends[1].Weight = 3
	half := route("half", "half.example", "one", "undeclared")
	subset := route("subset", "subset.example", "versions")
	subset.Backends[0].Subset = "none"
	in := &input{
		Proxy: edge(), Services: []mesh.Service{service("versions", mesh.HTTP)},
		Routes: []mesh.Route{split, half, nowhere, route("gone", "gone.example", "undeclared"), subset},
	}
	resources, problems := translate.Build(in.view(), translate.ScopeOf(in.Proxy), in.trust())
	if len(resources) == 0 || len(problems) != 8 {
		t.Errorf("problems: %+v", problems)
	}
	at := startEdgeWithProblems(t, in, "one", "two", "three")
	seen := map[string]int{}
	for range 200 {
		name, _, _ := strings.Cut(call(t, at, "split.example", "/", nil).body, " ")
		seen[name]++
	}
	if seen["one"] < 110 || seen["two"] < 20 || seen["one"]+seen["two"] != 200 {
		t.Errorf("3 to 1 to 0 came to %v", seen)
	}
	seen = map[string]int{}
	for range 60 {
		got := call(t, at, "half.example", "/", nil)
		seen[fmt.Sprint(got.status, got.header.Get("X-Heddle-Reason"))]++
	}
	if seen["200"] < 10 || seen["503no-instance"] < 10 {
		t.Errorf("half undeclared came to %v", seen)
	}
	seen = map[string]int{}
	for range 200 {
		got := call(t, at, "nowhere.example", "/", nil)
		seen[fmt.Sprint(got.status, got.header.Get("X-Heddle-Reason"))]++
		if got.status != 200 && !strings.Contains(got.body, "leads nowhere") {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	if seen["200"] < 20 || seen["500refused"] < 110 || seen["200"]+seen["500refused"] != 200 {
		t.Errorf("one to three that lead nowhere came to %v", seen)
	}
	for range 50 { // to gRPC it is UNAVAILABLE
		got := call(t, at, "nowhere.example", "/", http.Header{"Content-Type": {"application/grpc"}})
		if status := got.header.Get("Grpc-Status"); status != "" && status != "14" {
			t.Fatalf("grpc-status %s", status)
		} else {
			seen["grpc "+status]++
		}
	}
	if seen["grpc 14"] == 0 {
		t.Errorf("gRPC was answered %v", seen)
	}
	for _, host := range []string{"gone.example", "subset.example"} {
		if got := call(t, at, host, "/", nil); got.status != 503 || got.header.Get("X-Heddle-Reason") != "pending" || !strings.Contains(got.body, "heddle status says why") {
			t.Errorf("%s: %d %v %s", host, got.status, got.header, got.body)
		}
	}
}

func TestAGatewayTimesOut(t *testing.T) {
	ip, port := application(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	slow := route("slow", "x.example", "slow")
	slow.Timeout = mesh.Duration(200 * time.Millisecond)
	at := startEdge(t, &input{
		Services: []mesh.Service{service("slow", mesh.HTTP)}, Routes: []mesh.Route{slow},
		Instances: []mesh.Instance{instanceAt("slow", "1", ip, port)},
	})
	if got := call(t, at, "x.example", "/", nil); got.status != 504 || got.header.Get("X-Heddle-Reason") != "timeout" || !strings.Contains(got.body, "did not answer in time") {
		t.Errorf("%d %v %s", got.status, got.header, got.body)
	}
}

// A copy goes to all instances of a service with subsets, although its original
// was for a subset of that name.
func TestRoutesMirror(t *testing.T) {
	var copies atomic.Int32
	ip, port := application(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.Host == "x.example" {
			copies.Add(1)
		}
	})
	versioned := func(name mesh.ServiceName) mesh.Service {
		s := service(name, mesh.HTTP)
		s.Subsets = []mesh.Subset{{Name: "v1", Labels: map[string]string{"v": "1"}}, {Name: "v2", Labels: map[string]string{"v": "2"}}}
		return s
	}
	labelled := func(i mesh.Instance, v string) mesh.Instance { i.Labels = map[string]string{"v": v}; return i }
	r := route("copied", "x.example", "one")
	r.Backends[0].Subset = "v1"
	r.Mirror = &mesh.RouteMirror{Service: "two"}
	oneIP, onePort := echo(t, "one")
	at := startEdge(t, &input{
		Services:  []mesh.Service{versioned("one"), versioned("two")},
		Instances: []mesh.Instance{labelled(instanceAt("one", "1", oneIP, onePort), "1"), labelled(instanceAt("two", "1", ip, port), "2")},
		Routes:    []mesh.Route{r},
	})
	for range 5 {
		if got := call(t, at, "x.example", "/", nil); !strings.HasPrefix(got.body, "one ") {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	for end := time.Now().Add(10 * time.Second); copies.Load() < 5; {
		if time.Now().After(end) {
			t.Fatalf("%d copies came", copies.Load())
		}
		<-time.After(10 * time.Millisecond)
	}
}

// Of two routes that ask for the same the older wins, whatever their names are and
// whoever wrote last; a more exact host comes before a star.
func TestTheOlderOfTwoRoutesWins(t *testing.T) {
	young, old, wild := route("a-young", "X.example", "young"), route("z-old", "x.example.", "old"), under("/wild", route("wild", "*.example", "wild"))
	young.Created, old.Created, wild.Created = 9, 3, 1
	young.Meta.Revision, old.Meta.Revision = 9, 12
	in := &input{Proxy: edge(), Routes: []mesh.Route{young, old, wild}}
	_, problems := translate.Build(in.view(), translate.ScopeOf(in.Proxy), in.trust())
	conflict := `on gateway "edge": route "z-old", which is older, matches the same requests for x.example and gets them`
	if !slices.Contains(problems, translate.Problem{Object: "route/a-young", Message: conflict}) {
		t.Errorf("problems: %+v", problems)
	}
	at := startEdgeWithProblems(t, in, "young", "old", "wild")
	for host, want := range map[string]string{"x.example": "old", "y.example": ""} {
		if name, _, _ := strings.Cut(call(t, at, host, "/", nil).body, " "); want != "" && name != want {
			t.Errorf("%s is answered by %s, want %s", host, name, want)
		}
	}
	if name, _, _ := strings.Cut(call(t, at, "y.example", "/wild/x", nil).body, " "); name != "wild" {
		t.Errorf("the star is answered by %s", name)
	}
	if name, _, _ := strings.Cut(call(t, at, "x.example", "/wild", nil).body, " "); name != "old" {
		t.Errorf("a star came before a name: %s", name)
	}
	if got := call(t, at, "y.example", "/", nil); got.status != 404 || !strings.Contains(got.body, "no route of this host matches") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// Thousands of routes are translated in well under a second: each change of one of
// them does it again.
func TestManyRoutesAreTranslatedSoon(t *testing.T) {
	in := &input{Proxy: edge(), Services: []mesh.Service{service("one", mesh.HTTP)}}
	for i := range 2000 {
		r := under(fmt.Sprintf("/p%d", i), route("r", fmt.Sprintf("h%d.example", i), "one"))
		if i%2 == 0 {
			r.Hosts = append(r.Hosts, "all.example")
		}
		if i%100 == 0 {
			r.Hosts = append(r.Hosts, "*.example") // tried for every host
		}
		in.Routes = append(in.Routes, r)
	}
	began := time.Now()
	_, problems := translate.Build(in.view(), translate.ScopeOf(in.Proxy), in.trust())
	if took := time.Since(began); took > 5*time.Second || len(problems) > 0 {
		t.Errorf("%s, problems %v", took, problems)
	} else {
		t.Log(took)
	}
}
