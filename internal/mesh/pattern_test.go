package mesh_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Ten thousand patterns, each within its own bounds, took half a minute to
// validate at every write, read and change of the service that had them.
func TestPatternsTogetherAreBounded(t *testing.T) {
	for _, pattern := range []string{`((a|b){30}){30}`, `.{1000}`, strings.Repeat(`[^\pL\PL]`, 100), strings.Repeat(`\pL`, 300), strings.Repeat("(", 900)} {
		s := goodDeclaration()
		for range 200 {
			match := mesh.RequestMatch{Path: &mesh.PathMatch{Regex: pattern}}
			for range 60 {
				match.Headers = append(match.Headers, mesh.HeaderMatch{Name: "x", Regex: pattern})
			}
			s.Routes = append(s.Routes, mesh.RouteRule{Match: match})
		}
		if faults := s.Validate(); len(faults) == 0 || len(faults) > 300 {
			t.Errorf("%.20s: %d faults", pattern, len(faults))
		}
	}
	s := goodDeclaration()
	for i := range 200 {
		s.Routes = append(s.Routes, mesh.RouteRule{Match: mesh.RequestMatch{Path: &mesh.PathMatch{Regex: fmt.Sprintf(`/api/v%d/(users|groups)/[^/]+/orders/[0-9]+`, i)}}})
	}
	if faults := s.Validate(); len(faults) > 0 {
		t.Errorf("200 rules as people write them: %v", faults)
	}
}
