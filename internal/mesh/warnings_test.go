package mesh_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// calling declares a service with what it calls.
func calling(name string, dependencies ...mesh.ServiceName) *mesh.Service {
	if dependencies == nil {
		dependencies = []mesh.ServiceName{}
	}
	return &mesh.Service{Name: mesh.ServiceName(name), Owner: "t", Protocol: mesh.HTTP, Port: 80, Dependencies: dependencies}
}

func in(services []*mesh.Service) func(mesh.ServiceName) *mesh.Service {
	byName := map[mesh.ServiceName]*mesh.Service{}
	for i := range services {
		byName[services[i].Name] = services[i]
	}
	return func(name mesh.ServiceName) *mesh.Service { return byName[name] }
}

func warned(list []mesh.Warning) []string {
	var out []string
	for _, w := range list {
		out = append(out, fmt.Sprintf("%s %s %s: %s", w.Object, w.Field, w.Code, w.Message))
	}
	return out
}

func TestWarnings(t *testing.T) {
	tier := func(s *mesh.Service, tier int) *mesh.Service { s.Tier = tier; return s }
	old := func(s *mesh.Service, why string) *mesh.Service { s.Deprecated = why; return s }
	const along = "; one of them that is slow or fails takes the others along"
	for name, test := range map[string]struct {
		services []*mesh.Service
		routes   []*mesh.Route
		want     []string
	}{
		"nothing":                    {services: []*mesh.Service{calling("a", "b"), calling("b")}},
		"itself is no cycle":         {services: []*mesh.Service{calling("a", "a")}},
		"what is not there":          {services: []*mesh.Service{calling("a", "b")}},
		"a deprecated one by itself": {services: []*mesh.Service{old(tier(calling("a", "a"), 1), "gone soon")}},
		"two": {services: []*mesh.Service{calling("a", "x", "b"), calling("b", "a"), calling("x")}, want: []string{
			"service/a dependencies[1] cycle: calls itself in the end: a → b → a" + along,
			"service/b dependencies[0] cycle: calls itself in the end: b → a → b" + along}},
		"the shortest of two, and one that only leads there": {
			services: []*mesh.Service{calling("a", "b"), calling("b", "c", "d"), calling("c", "a"), calling("d", "c"), calling("e", "a")},
			want: []string{
				"service/a dependencies[0] cycle: calls itself in the end: a → b → c → a" + along,
				"service/b dependencies[0] cycle: calls itself in the end: b → c → a → b" + along,
				"service/c dependencies[0] cycle: calls itself in the end: c → a → b → c" + along,
				"service/d dependencies[0] cycle: calls itself in the end: d → c → a → b → d" + along}},
		"deprecated": {
			services: []*mesh.Service{calling("a", "b", "c"), calling("b"), old(calling("c"), "nimm „bücher“")},
			routes: []*mesh.Route{{Name: "r", Backends: []mesh.WeightedBackend{{Service: "b"}, {Service: "c"}}, Mirror: &mesh.RouteMirror{Service: "c"}},
				{Name: "s", Backends: []mesh.WeightedBackend{{Service: "gone"}}}},
			want: []string{
				`service/a dependencies[1] deprecated: "c" is deprecated: nimm „bücher“`,
				`route/r backends[1].service deprecated: "c" is deprecated: nimm „bücher“`,
				`route/r mirror.service deprecated: "c" is deprecated: nimm „bücher“`}},
		"tiers": {
			services: []*mesh.Service{tier(calling("a", "b", "c", "d"), 1), tier(calling("b", "a"), 2), calling("c", "b"), tier(calling("d", "b"), 1)},
			want: []string{
				`service/a dependencies[0] less_critical: "b" is less critical (tier 2) than "a" (tier 1), which is only as reliable as what it calls`,
				"service/a dependencies[0] cycle: calls itself in the end: a → b → a" + along,
				"service/b dependencies[0] cycle: calls itself in the end: b → a → b" + along,
				"service/c dependencies[0] cycle: calls itself in the end: c → b → a → c" + along,
				`service/d dependencies[0] less_critical: "b" is less critical (tier 2) than "d" (tier 1), which is only as reliable as what it calls`,
				"service/d dependencies[0] cycle: calls itself in the end: d → b → a → d" + along}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, warned(mesh.Warnings(test.services, test.routes))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			var one []mesh.Warning
			for i := range test.services {
				one = append(one, mesh.ServiceWarnings(test.services[i], in(test.services))...)
			}
			for i := range test.routes {
				one = append(one, mesh.RouteWarnings(test.routes[i], in(test.services))...)
			}
			if diff := cmp.Diff(test.want, warned(one)); diff != "" {
				t.Errorf("one by one (-want +got):\n%s", diff)
			}
		})
	}
}

// TestCyclesAreThoseThatThereAre compares with a search that follows every path.
func TestCyclesAreThoseThatThereAre(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		services := make([]*mesh.Service, 1+random.IntN(9))
		for i := range services {
			services[i] = calling(fmt.Sprint("s", i))
			for to := range services {
				if random.IntN(5) == 0 {
					services[i].Dependencies = append(services[i].Dependencies, mesh.ServiceName(fmt.Sprint("s", to)))
				}
			}
		}
		find := in(services)
		reach := func(from, to mesh.ServiceName) int { // how many calls away; 0: not at all
			seen, at := map[mesh.ServiceName]bool{from: true}, []mesh.ServiceName{from}
			for steps := 1; len(at) > 0; steps++ {
				var next []mesh.ServiceName
				for _, one := range at {
					for _, name := range find(one).Dependencies {
						if name == to && one != to {
							return steps
						}
						if !seen[name] {
							seen[name] = true
							next = append(next, name)
						}
					}
				}
				at = next
			}
			return 0
		}
		got := map[string]int{}
		for _, w := range mesh.Warnings(services, nil) {
			names, _, _ := strings.Cut(strings.TrimPrefix(w.Message, "calls itself in the end: "), ";")
			path := strings.Split(names, " → ")
			for i := range len(path) - 1 {
				if !slices.Contains(find(mesh.ServiceName(path[i])).Dependencies, mesh.ServiceName(path[i+1])) {
					t.Fatalf("%q: %s does not call %s", names, path[i], path[i+1])
				}
			}
			got[w.Object] = len(path) - 1
		}
		for i := range services {
			want := reach(services[i].Name, services[i].Name)
			if got["service/"+string(services[i].Name)] != want {
				t.Fatalf("%s is %d calls away from itself, and is said to be %d; of %+v", services[i].Name, want, got["service/"+string(services[i].Name)], services)
			}
			if one := mesh.ServiceWarnings(services[i], find); (len(one) > 0) != (want > 0) {
				t.Fatalf("%s alone: %v", services[i].Name, one)
			}
		}
	}
}

func TestALongCycleIsCutShort(t *testing.T) {
	services := make([]*mesh.Service, 50)
	for i := range services {
		services[i] = calling(fmt.Sprint("s", i), mesh.ServiceName(fmt.Sprint("s", (i+1)%50)))
	}
	got := mesh.Warnings(services, nil)
	want := "calls itself in the end: s3 → s4 → s5 → s6 → s7 → s8 → s9 → s10 → s11 → s12 → … (40 more) → s3; one of them that is slow or fails takes the others along"
	if len(got) != 50 || got[3].Message != want {
		t.Errorf("%d warnings, the fourth of which is %q", len(got), got[3].Message)
	}
}

// TestWarningsStayCheap holds that even where all call all, the cost is bounded.
func TestWarningsStayCheap(t *testing.T) {
	shapes := map[string]func(i, n int) []mesh.ServiceName{
		"ring": func(i, n int) []mesh.ServiceName {
			return []mesh.ServiceName{mesh.ServiceName(fmt.Sprint("s", (i+1)%n))}
		},
		"everybody calls 500 others": func(i, n int) []mesh.ServiceName {
			var all []mesh.ServiceName
			for k := range 500 {
				all = append(all, mesh.ServiceName(fmt.Sprint("s", (i+k+1)%n)))
			}
			return all
		},
	}
	for name, shape := range shapes {
		services := make([]*mesh.Service, 2000)
		for i := range services {
			services[i] = calling(fmt.Sprint("s", i), shape(i, len(services))...)
		}
		begin := time.Now()
		got := mesh.Warnings(services, nil)
		if len(got) != len(services) {
			t.Errorf("%s: %d warnings", name, len(got))
		}
		if took := time.Since(begin); took > 10*time.Second { // it takes about 0.1 s; without a bound, minutes
			t.Errorf("%s: took %s", name, took)
		}
	}
}

func BenchmarkWarnings(b *testing.B) {
	services := make([]*mesh.Service, 2000)
	for i := range services {
		services[i] = calling(fmt.Sprint("s", i))
		for k := range 5 {
			services[i].Dependencies = append(services[i].Dependencies, mesh.ServiceName(fmt.Sprint("s", (i*7+k*13+1)%2000)))
		}
	}
	for b.Loop() {
		mesh.Warnings(services, nil)
	}
}
