package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/internal/manifest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestEdits(t *testing.T) {
	service := func(change func(*mesh.Service)) manifest.Object {
		s := mesh.Service{Name: "web", Protocol: mesh.HTTP, Port: 80, Dependencies: []mesh.ServiceName{"orders"}}
		change(&s)
		return manifest.Of(s)
	}
	instance := manifest.Of(mesh.Instance{ID: "a", Service: "web"})
	for name, c := range map[string]struct {
		before, after manifest.Object
		want          []string
	}{
		"nothing": {service(func(*mesh.Service) {}), service(func(s *mesh.Service) { s.Meta.Revision = 9 }), nil},
		"a field, and a list of names": {
			service(func(*mesh.Service) {}),
			service(func(s *mesh.Service) { s.Port, s.Dependencies = 8080, []mesh.ServiceName{"orders", "reviews"} }),
			[]string{`dependencies: ["orders"] -> ["orders","reviews"]`, `port: 80 -> 8080`},
		},
		"a list of objects": {
			service(func(s *mesh.Service) { s.Subsets = []mesh.Subset{{Name: "v1", Labels: map[string]string{"v": "1"}}} }),
			service(func(s *mesh.Service) {
				s.Subsets = []mesh.Subset{{Name: "v1", Labels: map[string]string{"v": "2"}}, {Name: "v2"}}
			}),
			[]string{`subsets[0].labels.v: "1" -> "2"`, `subsets[1]: (none) -> {"labels":null,"name":"v2"}`},
		},
		"what the registry fills in": {
			instance,
			manifest.Of(mesh.Instance{ID: "a", Service: "web", Weight: 1, Health: mesh.Healthy, Epoch: "1f"}),
			nil,
		},
		"runtime": {
			manifest.Of(mesh.Runtime{Values: map[string]any{"a.b": 1, "c": true}}),
			manifest.Of(mesh.Runtime{Values: map[string]any{"a.b": 2}}),
			[]string{"a.b: 1 -> 2", "c: true -> (none)"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			edits, err := editsBetween(c.before, c.after)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range edits {
				got = append(got, e.String())
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
