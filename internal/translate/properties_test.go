package translate_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/propertytest"
	"github.com/heddle-mesh/heddle/internal/translate"
)

// The names are few, so that they meet: services called like each other's
// dependencies, subsets and parts of resource names.
var (
	names     = []mesh.ServiceName{"app", "own", "inbound", "outbound", "subset", "ca", "direct", "web", "orders"}
	addresses = []string{"10.0.0.1", "10.0.0.2", "::1", "2001:db8::1", "::ffff:10.0.0.1", "127.0.0.1"}
	portsSeen = []mesh.Port{80, 8080, 9000, 15001}
)

func drawMesh(t *rapid.T) *input {
	in := &input{Proxy: drawProxy(t)}
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, len(names), rapid.ID).Draw(t, "services") {
		in.Services = append(in.Services, drawService(t, name))
	}
	if len(in.Services) > 0 && rapid.IntRange(0, 9).Draw(t, "declared") > 0 {
		in.Proxy.Service = in.Services[0].Name
	}
	for i := range rapid.IntRange(0, 12).Draw(t, "instances") {
		in.Instances = append(in.Instances, drawInstance(t, mesh.InstanceID(fmt.Sprint("i", i))))
	}
	if rapid.Bool().Draw(t, "runtime") {
		in.Runtime = &mesh.Runtime{Values: map[string]any{"a.b": 1.5, "c": "text", "d": true}}
	}
	return in
}

func drawProxy(t *rapid.T) mesh.Proxy {
	optional := append([]string{"", "0.0.0.0", "::"}, addresses...)
	maybe := append([]mesh.Port{0}, portsSeen...)
	return mesh.Proxy{
		Service: rapid.SampledFrom(names).Draw(t, "of"), Instance: "i-1",
		InboundAddress: rapid.SampledFrom(optional).Draw(t, "inboundAddress"), InboundPort: rapid.SampledFrom(maybe).Draw(t, "inboundPort"),
		AppAddress: rapid.SampledFrom(optional).Draw(t, "appAddress"), AppPort: rapid.SampledFrom(maybe).Draw(t, "appPort"),
		OutboundAddress: rapid.SampledFrom(optional).Draw(t, "outboundAddress"), OutboundPort: rapid.SampledFrom(maybe).Draw(t, "outboundPort"),
		DependencyPorts: rapid.MapOfN(rapid.SampledFrom(names), rapid.SampledFrom(portsSeen), 0, 3).Draw(t, "dependencyPorts"),
	}
}

func drawService(t *rapid.T, name mesh.ServiceName) mesh.Service {
	others := slices.DeleteFunc(slices.Clone(names), func(n mesh.ServiceName) bool { return n == name })
	s := mesh.Service{
		Name: name, Owner: "team", Port: rapid.SampledFrom(portsSeen).Draw(t, "port"),
		Protocol:     rapid.SampledFrom([]mesh.Protocol{mesh.HTTP, mesh.HTTP2, mesh.GRPC, mesh.TCP}).Draw(t, "protocol"),
		Dependencies: rapid.SliceOfDistinct(rapid.SampledFrom(others), rapid.ID).Draw(t, "dependencies"),
		ListenerPort: rapid.SampledFrom([]mesh.Port{0, 0, 9000, 15001}).Draw(t, "listenerPort"),
	}
	switch rapid.IntRange(0, 4).Draw(t, "endpoints") {
	case 0:
		s.Endpoints.DNS = &mesh.DNSEndpoints{
			Host: "pods.example", Discovery: rapid.SampledFrom([]mesh.DNSDiscovery{"", mesh.DNSStrict, mesh.DNSLogical}).Draw(t, "discovery"),
			Family: rapid.SampledFrom([]mesh.IPFamily{"", mesh.IPv6, mesh.IPBoth}).Draw(t, "family"),
		}
	case 1:
		for _, address := range rapid.SliceOfNDistinct(rapid.SampledFrom(addresses), 1, 3, rapid.ID).Draw(t, "static") {
			s.Endpoints.Static = append(s.Endpoints.Static, mesh.StaticEndpoint{Address: address, Port: 80, Weight: rapid.IntRange(0, 9).Draw(t, "weight")})
		}
	}
	if !s.Endpoints.Registered() && rapid.Bool().Draw(t, "tls") {
		s.Traffic.TLS = &mesh.UpstreamTLS{SNI: "x.example", SubjectAltNames: []string{"*.example", "10.0.0.1"}}
	}
	if rapid.Bool().Draw(t, "check") {
		s.HealthCheck = &mesh.HealthCheck{Type: rapid.SampledFrom([]mesh.HealthCheckType{mesh.CheckHTTP, mesh.CheckGRPC, mesh.CheckTCP}).Draw(t, "type")}
	}
	s.Traffic.LoadBalancing.Policy = rapid.SampledFrom([]mesh.Policy{"", mesh.LeastRequest, mesh.Random, mesh.RingHash, mesh.Maglev}).Draw(t, "policy")
	if rapid.Bool().Draw(t, "localities") {
		s.Traffic.LoadBalancing.LocalityWeights = []mesh.LocalityWeight{{Region: "eu", Weight: 1_000_000}, {Zone: "1", Weight: 0}}
	}
	drawRules(t, &s)
	return s
}

func drawRules(t *rapid.T, s *mesh.Service) {
	targets := []string{""}
	most := 0 // only registered instances carry labels
	if s.Endpoints.Registered() {
		most = 3
	}
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"v1", "v2", "web"}), 0, most, rapid.ID).Draw(t, "subsets") {
		s.Subsets = append(s.Subsets, mesh.Subset{Name: name, Labels: map[string]string{rapid.SampledFrom([]string{"v", "track"}).Draw(t, "key"): name}})
		targets = append(targets, name)
	}
	if s.Protocol == mesh.TCP {
		return
	}
	paths := []*mesh.PathMatch{nil, {Exact: "/x"}, {Prefix: "/"}, {Prefix: "/a/"}, {Prefix: "//"}, {Regex: `/\d+|\pL*`}}
	for range rapid.IntRange(0, 4).Draw(t, "rules") {
		rule := mesh.RouteRule{Match: mesh.RequestMatch{
			Path:    rapid.SampledFrom(paths).Draw(t, "path"),
			Methods: []string{"GET", "POST"},
			Headers: []mesh.HeaderMatch{{Name: "X-A", Exact: "1", Invert: rapid.Bool().Draw(t, "invert")}},
		}}
		for _, target := range rapid.SliceOfDistinct(rapid.SampledFrom(targets), rapid.ID).Draw(t, "to") {
			rule.To = append(rule.To, mesh.WeightedSubset{Subset: target, Weight: rapid.IntRange(0, 1_000_000).Draw(t, "share")})
		}
		if len(targets) > 1 && rapid.Bool().Draw(t, "mirror") {
			rule.Mirror = &mesh.Mirror{Subset: targets[1], Percent: rapid.Float64Range(0, 100).Draw(t, "percent")}
		}
		if rule.Match.Path != nil && rule.Match.Path.Regex == "" {
			rule.Rewrite = rapid.SampledFrom([]string{"", "/", "/b", "/b/"}).Draw(t, "rewrite")
		}
		s.Routes = append(s.Routes, rule)
	}
}

func drawInstance(t *rapid.T, id mesh.InstanceID) mesh.Instance {
	return mesh.Instance{
		ID: id, Service: rapid.SampledFrom(names).Draw(t, "service"),
		Address: rapid.SampledFrom(addresses).Draw(t, "address"), Port: rapid.SampledFrom(portsSeen).Draw(t, "port"),
		Locality: mesh.Locality{Region: rapid.SampledFrom([]string{"", "eu", "us"}).Draw(t, "region"), Zone: rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, "zone")},
		Weight:   rapid.IntRange(0, 1000).Draw(t, "weight"),
		Labels:   rapid.MapOfN(rapid.SampledFrom([]string{"v", "track", "other"}), rapid.SampledFrom([]string{"v1", "v2", "web"}), 0, 3).Draw(t, "labels"),
		Health:   rapid.SampledFrom([]mesh.Health{"", mesh.Healthy, mesh.Draining, mesh.Unhealthy, mesh.Removed}).Draw(t, "health"),
	}
}

// valid says whether the API would let the input in.
func valid(in *input) bool {
	faults := len(in.Proxy.Validate())
	for i := range in.Services {
		faults += len(in.Services[i].Validate())
	}
	return faults == 0
}

func TestBuildIsAFunctionOfTheMeshAlone(t *testing.T) {
	propertytest.Check(t, func(r *rapid.T) {
		in := drawMesh(r)
		scope := translate.ScopeOf(in.Proxy)
		resources, problems := translate.Build(in.view(), scope, in.trust()) // no panic, valid or not
		first := render(t, resources, problems)

		seen := map[string]bool{}
		for _, one := range resources {
			key := one.Type + " " + one.Name
			if seen[key] {
				r.Fatalf("%s is there twice", key)
			}
			seen[key] = true
		}
		shuffled := &input{Proxy: in.Proxy, Runtime: in.Runtime}
		shuffled.Services = rapid.Permutation(in.Services).Draw(r, "other order")
		shuffled.Instances = rapid.Permutation(in.Instances).Draw(r, "other order")
		for i := range shuffled.Services {
			shuffled.Services[i].Dependencies = rapid.Permutation(shuffled.Services[i].Dependencies).Draw(r, "other order")
		}
		resources, problems = translate.Build(oneByOne(shuffled), scope, in.trust())
		if second := render(t, resources, problems); !bytes.Equal(first, second) {
			r.Fatalf("another order gives another result:\n%s\n\n%s", first, second)
		}
	})
}

// oneByOne fills a catalog by one change at a time.
func oneByOne(in *input) *catalog.View {
	c := catalog.New(catalog.Config{})
	revision := int64(0)
	apply := func(change mesh.Change) {
		revision++
		c.Apply(revision, true, []mesh.Change{change})
	}
	for i := range in.Instances {
		apply(mesh.Change{Instance: &in.Instances[i], Revision: 1})
	}
	if in.Runtime != nil {
		apply(mesh.Change{Runtime: in.Runtime, Revision: 1})
	}
	for i := range in.Services {
		apply(mesh.Change{Service: &in.Services[i], Revision: 1})
	}
	return c.View()
}

func TestOneNameStandsForOneContentInTheWholeMesh(t *testing.T) {
	propertytest.Check(t, func(r *rapid.T) {
		in := drawMesh(r)
		view := in.view()
		contents := map[string]string{}
		for range 4 {
			proxy := drawProxy(r)
			resources, _ := translate.Build(view, translate.ScopeOf(proxy), translate.Trust{})
			for _, one := range resources {
				key := one.Type + " " + one.Name
				body := string(render(t, []translate.Resource{one}, nil))
				if before, known := contents[key]; known && before != body {
					r.Fatalf("%s means two things:\n%s\n%s", key, before, body)
				}
				contents[key] = body
			}
		}
	})
}

func TestEqualProfilesShareAScope(t *testing.T) {
	plain := translate.ScopeOf(mesh.Proxy{Service: "web", Instance: "web-1"})
	spelt := translate.ScopeOf(mesh.Proxy{
		Service: "web", Instance: "web-2", InboundAddress: "0.0.0.0", AppAddress: "127.0.0.1",
		OutboundAddress: "127.0.0.1", OutboundPort: 15001, DependencyPorts: map[mesh.ServiceName]mesh.Port{},
	})
	if plain.Name() != "web" || spelt.Name() != "web" {
		t.Errorf("got %q and %q", plain.Name(), spelt.Name())
	}
	seen := map[string]bool{}
	for _, port := range []mesh.Port{1, 2, 3} {
		seen[translate.ScopeOf(mesh.Proxy{Service: "web", AppPort: port}).Name()] = true
	}
	if len(seen) != 3 {
		t.Errorf("three profiles share names: %v", slices.Collect(maps.Keys(seen)))
	}
}

// Sidecars that listen on an address of their host's own have a profile each.
func TestProfilesOfManyHostsHaveNamesOfTheirOwn(t *testing.T) {
	hosts := map[string]string{}
	for i := range 170_000 {
		address := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String()
		name := translate.ScopeOf(mesh.Proxy{Service: "orders", AppPort: 8080, InboundAddress: address}).Name()
		if other, taken := hosts[name]; taken {
			t.Errorf("%s and %s are both %s", other, address, name)
		}
		hosts[name] = address
	}
}

var judgements = flag.Int("judgements", 25, "how many random meshes the real Envoy judges")

// TestEnvoyTakesWhateverIsValid has the real Envoy judge meshes drawn at
// random: few, for each costs a process.
func TestEnvoyTakesWhateverIsValid(t *testing.T) {
	envoytest.Path(t)
	generator := rapid.Custom(drawMesh)
	judged := 0
	for seed := 0; judged < *judgements && seed < 100**judgements; seed++ {
		in := generator.Example(seed)
		if !valid(in) {
			continue
		}
		resources, _ := translate.Build(in.view(), translate.ScopeOf(in.Proxy), in.trust())
		if len(resources) < 8 {
			continue
		}
		judged++
		bootstrap := static(t, resources)
		if warnings, err := envoytest.Judge(t, bootstrap); err != nil || len(warnings) > 0 {
			t.Fatalf("seed %d: Envoy refuses: %v %v\n%s", seed, err, warnings, bootstrap)
		}
	}
	t.Logf("%d judged", judged)
}
