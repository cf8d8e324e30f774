package xds_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"

	"github.com/heddle-mesh/heddle/internal/xds"
)

// proxy is a scripted proxy on one aggregated delta stream: it takes clusters
// and listeners, asks for the routes that it was told to, refuses what holds
// "bad", and checks that no route names a cluster that it does not have.
type proxy struct {
	t      *testing.T
	stream grpc.BidiStreamingClient[discoveryv3.DeltaDiscoveryRequest, discoveryv3.DeltaDiscoveryResponse]

	mu      sync.Mutex // guards the fields below
	held    map[string]string
	seen    map[string]int // how often each content came
	silent  bool           // it does not answer
	pending []*discoveryv3.DeltaDiscoveryRequest
}

func (r *rig) proxy(t *testing.T, id string, routes ...string) *proxy {
	t.Helper()
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(r.conn).DeltaAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, stream: stream, held: map[string]string{}, seen: map[string]int{}}
	p.send(&discoveryv3.DeltaDiscoveryRequest{Node: node(id), TypeUrl: xds.TypeCluster})
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: xds.TypeListener})
	if len(routes) > 0 {
		p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: xds.TypeRoute, ResourceNamesSubscribe: routes})
	}
	go p.run()
	return p
}

func (p *proxy) send(m *discoveryv3.DeltaDiscoveryRequest) { _ = p.stream.Send(m) }

func (p *proxy) run() {
	for {
		r, err := p.stream.Recv()
		if err != nil {
			return
		}
		p.take(r)
	}
}

func (p *proxy) take(r *discoveryv3.DeltaDiscoveryResponse) {
	p.mu.Lock()
	defer p.mu.Unlock()
	answer := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce()}
	short := shortOf(r.GetTypeUrl())
	var bad []string
	for _, one := range r.GetResources() {
		content := contentOf(p.t, one)
		p.seen[content]++
		if strings.HasPrefix(content, "bad") {
			bad = append(bad, one.GetName())
		} else {
			p.held[short+"/"+one.GetName()] = content
		}
	}
	for _, gone := range r.GetRemovedResources() {
		delete(p.held, short+"/"+gone)
	}
	for key, content := range p.held {
		cluster, names := strings.CutPrefix(content, "to-")
		if _, ok := p.held["cds/"+cluster]; strings.HasPrefix(key, "rds/") && names && !ok {
			p.t.Errorf("%s goes to %s, and there is no such cluster", key, cluster)
		}
	}
	if len(bad) > 0 {
		answer.ErrorDetail = &rpcstatus.Status{Code: 3, Message: "Error adding/updating " + strings.Join(bad, ", ") + ": it is bad"}
	}
	if p.silent {
		p.pending = append(p.pending, answer)
		return
	}
	p.send(answer)
}

// contentOf is the text that the resource was made with (see message).
func contentOf(t *testing.T, r *discoveryv3.Resource) string {
	m, err := r.GetResource().UnmarshalNew()
	if err != nil {
		t.Error(err)
	}
	switch m := m.(type) {
	case interface{ GetAltStatName() string }:
		return m.GetAltStatName()
	case interface{ GetStatPrefix() string }:
		return m.GetStatPrefix()
	case interface{ GetInternalOnlyHeaders() []string }:
		if headers := m.GetInternalOnlyHeaders(); len(headers) > 0 {
			return headers[0]
		}
	}
	return ""
}

func (p *proxy) has(key string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held[key]
}

func (p *proxy) saw(content string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[content] > 0
}

func count(all []*proxy, ok func(*proxy) bool) (n int) {
	for _, p := range all {
		if ok(p) {
			n++
		}
	}
	return n
}

// fleet is twenty proxies of a scope that have everything.
func fleet(t *testing.T, c xds.Config) (*rig, []*proxy, func(scopeOf []*xds.Resource, put ...*xds.Resource)) {
	r := newRig(t, c)
	apply := func(scopeOf []*xds.Resource, put ...*xds.Resource) {
		u := xds.Update{Put: put}
		if scopeOf != nil {
			u.Scopes = map[string][]xds.Key{"web": keys(scopeOf...)}
		}
		r.server.Apply(u)
	}
	one, in, out := resource(t, xds.TypeCluster, "one", "v1"), resource(t, xds.TypeListener, "in", "v1"), resource(t, xds.TypeRoute, "out", "to-one")
	apply([]*xds.Resource{one, in, out}, one, in, out)
	var all []*proxy
	for i := range 20 {
		all = append(all, r.proxy(t, fmt.Sprint("web/", i), "out"))
	}
	eventually(t, "all have everything", func() bool {
		return count(all, func(p *proxy) bool {
			return p.has("cds/one") == "v1" && p.has("lds/in") == "v1" && p.has("rds/out") == "to-one"
		}) == 20 &&
			!slices.ContainsFunc(r.server.Status(), func(s xds.ProxyStatus) bool {
				return len(s.Types) != 3 || slices.ContainsFunc(s.Types, func(t xds.TypeStatus) bool { return !t.BehindSince.IsZero() })
			})
	})
	return r, all, apply
}

// A configuration that proxies refuse reaches exactly one of twenty, whatever
// part of it is at fault; the others stay on what they had, as do those that
// connect later; a mended one reaches all.
func TestCanaryRefuses(t *testing.T) {
	for _, typeURL := range []string{xds.TypeCluster, xds.TypeListener, xds.TypeRoute} {
		t.Run(shortOf(typeURL), func(t *testing.T) {
			r, all, apply := fleet(t, xds.Config{CanaryWait: time.Minute})
			name := map[string]string{xds.TypeCluster: "one", xds.TypeListener: "in", xds.TypeRoute: "out"}[typeURL]
			apply(nil, resource(t, typeURL, name, "bad"))
			eventually(t, "it is quarantined", func() bool { return len(r.server.Quarantine()) == 1 })
			apply(nil, resource(t, typeURL, name, "bad")) // once more is not again
			late := r.proxy(t, "web/late", "out")
			eventually(t, "a late one has all", func() bool {
				return late.has("cds/one") == "v1" && late.has("lds/in") == "v1" && late.has("rds/out") == "to-one"
			})
			all = append(all, late)
			mended := map[string]string{xds.TypeCluster: "v2", xds.TypeListener: "v2", xds.TypeRoute: "to-one"}[typeURL]
			apply(nil, resource(t, typeURL, name, mended))
			eventually(t, "all have the mended one", func() bool {
				return count(all, func(p *proxy) bool { return p.has(shortOf(typeURL)+"/"+name) == mended }) == 21
			})
			if n := count(all, func(p *proxy) bool { return p.saw("bad") }); n != 1 {
				t.Errorf("it reached %d proxies", n)
			}
			if all := r.server.Quarantine(); len(all) != 0 {
				t.Errorf("still quarantined: %v", all)
			}
		})
	}
}

// One update has a new cluster, the route to it, and the old cluster gone. The
// others see nothing of it before the canary took all of it, and never a route
// without its cluster. If the cluster is refused, the route waits too, and the
// old cluster stays.
func TestCanaryTransaction(t *testing.T) {
	r, all, apply := fleet(t, xds.Config{CanaryWait: time.Minute})
	in := resource(t, xds.TypeListener, "in", "v1")
	two, out := resource(t, xds.TypeCluster, "two", "bad"), resource(t, xds.TypeRoute, "out", "to-two")
	apply([]*xds.Resource{two, in, out}, two, out)
	eventually(t, "it is quarantined", func() bool { return len(r.server.Quarantine()) == 1 })
	late := r.proxy(t, "web/late", "out")
	all = append(all, late)
	eventually(t, "a late one works", func() bool { return late.has("rds/out") == "to-one" })
	if n := count(all, func(p *proxy) bool { return p.saw("bad") || p.saw("to-two") }); n != 1 {
		t.Errorf("it reached %d proxies", n)
	}
	apply(nil, resource(t, xds.TypeCluster, "two", "v1"))
	eventually(t, "all went over, and the old cluster is gone", func() bool {
		return count(all, func(p *proxy) bool { return p.has("rds/out") == "to-two" && p.has("cds/one") == "" }) == 21
	})
}

// A canary that does not answer is waited for no longer than it was said; one
// that leaves is replaced at once. Endpoints wait for nobody.
func TestCanarySilentOrGone(t *testing.T) {
	_, all, apply := fleet(t, xds.Config{CanaryWait: 300 * time.Millisecond})
	silence := func(on bool) {
		for _, p := range all {
			p.mu.Lock()
			p.silent = on
			p.mu.Unlock()
		}
	}
	silence(true)
	apply(nil, resource(t, xds.TypeListener, "in", "v2"))
	start := time.Now()
	eventually(t, "one has it", func() bool { return count(all, func(p *proxy) bool { return p.has("lds/in") == "v2" }) == 1 })
	eventually(t, "all have it", func() bool { return count(all, func(p *proxy) bool { return p.has("lds/in") == "v2" }) == 20 })
	if took := time.Since(start); took < 200*time.Millisecond {
		t.Errorf("all have it after %s, and nobody accepted it", took)
	}
	for _, p := range all {
		p.mu.Lock()
		for _, m := range p.pending {
			p.send(m)
		}
		p.pending = nil
		p.mu.Unlock()
	}
	apply(nil, resource(t, xds.TypeListener, "in", "v3"))
	eventually(t, "one has it", func() bool { return count(all, func(p *proxy) bool { return p.has("lds/in") == "v3" }) > 0 })
	silence(false)
	i := slices.IndexFunc(all, func(p *proxy) bool { return p.has("lds/in") == "v3" })
	_ = all[i].stream.CloseSend()
	eventually(t, "all have it", func() bool { return count(all, func(p *proxy) bool { return p.has("lds/in") == "v3" }) == 20 })
}

// Who connects while a canary is waited for has a whole configuration at once:
// the last good versions, and what is new.
func TestCanaryNewcomer(t *testing.T) {
	r, all, apply := fleet(t, xds.Config{CanaryWait: time.Minute})
	for _, p := range all {
		p.mu.Lock()
		p.silent = true
		p.mu.Unlock()
	}
	one, in, out := resource(t, xds.TypeCluster, "one", "v1"), resource(t, xds.TypeListener, "in", "v2"), resource(t, xds.TypeRoute, "out", "to-one")
	two, more := resource(t, xds.TypeCluster, "two", "v1"), resource(t, xds.TypeRoute, "more", "to-two")
	apply([]*xds.Resource{one, in, out, two, more}, in, two, more)
	eventually(t, "one has it", func() bool { return count(all, func(p *proxy) bool { return p.saw("v2") }) == 1 })
	late := r.proxy(t, "web/late", "out", "more")
	eventually(t, "the late one has everything", func() bool {
		return late.has("cds/one") == "v1" && late.has("cds/two") == "v1" && late.has("lds/in") == "v1" && late.has("rds/out") == "to-one" && late.has("rds/more") == "to-two"
	})
	if n := count(all, func(p *proxy) bool { return p.has("cds/two") != "" }); n != 1 {
		t.Errorf("%d of those that were there have what is new", n)
	}
}
