package insight_test

import (
	"testing"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// TestExplainSpeaksGRPC: whoever calls by gRPC sees no HTTP status of a proxy.
func TestExplainSpeaksGRPC(t *testing.T) {
	speaks := func(p mesh.Protocol) func(*mesh.Service) { return func(s *mesh.Service) { s.Protocol = p } }
	for name, c := range map[string]struct {
		protocol     mesh.Protocol
		dependencies []mesh.ServiceName
		status       int
		want         string
	}{
		"undeclared":   {mesh.GRPC, nil, 403, "a gRPC client sees grpc-status 7 (PERMISSION_DENIED)"},
		"no instances": {mesh.GRPC, []mesh.ServiceName{"orders"}, 503, "no healthy upstream; a gRPC client sees grpc-status 14 (UNAVAILABLE)"},
		"HTTP":         {mesh.HTTP, nil, 403, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := explain(t, explained(has("web", nil, c.dependencies...), has("orders", speaks(c.protocol))), insight.Question{From: "web", To: "orders"})
			for _, step := range got.Steps {
				if step.ID == got.Stopped && (step.Sees.Status != c.status || step.Sees.Text != c.want) {
					t.Errorf("it sees %+v, want %d and %q", *step.Sees, c.status, c.want)
				}
			}
			if got.Stopped == "" {
				t.Error("nothing stops it")
			}
		})
	}
}
