package hosts

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// What services of hosts have that nobody declared.
var (
	patient = mesh.Service{
		Traffic: mesh.Traffic{CircuitBreaker: &mesh.CircuitBreaker{MaxRetries: 1000}},
		Routes: []mesh.RouteRule{{
			Match:   mesh.RequestMatch{Methods: []string{"GET", "HEAD", "OPTIONS"}},
			Retries: &mesh.Retries{Attempts: 2, On: []string{"connect-failure", "refused-stream", "reset-before-request", "reset"}},
		}},
	}
	insistent = mesh.Service{Traffic: mesh.Traffic{
		Retries:          &mesh.Retries{Attempts: 4},
		OutlierDetection: &mesh.OutlierDetection{ConsecutiveErrors: 1, Interval: mesh.Duration(time.Second), BaseEjectionTime: mesh.Duration(5 * time.Second), MaxEjectionPercent: 99},
	}}
)

// What changes something is not sent twice, and streams of gRPC have rules of their own.
func TestCallsToHostsThatAreGoneAreMadeAgain(t *testing.T) {
	for protocol, want := range map[mesh.Protocol]mesh.Service{mesh.HTTP: patient, mesh.HTTP2: patient, mesh.TCP: insistent, mesh.GRPC: {}} {
		s := mesh.Service{Name: "web", Owner: "hosts", Protocol: protocol, Port: 1, Dependencies: []mesh.ServiceName{}}
		want.Name, want.Owner, want.Protocol, want.Port, want.Dependencies = s.Name, s.Owner, s.Protocol, s.Port, s.Dependencies
		treat(&s)
		if diff := cmp.Diff(want, s); diff != "" {
			t.Errorf("%s (-want +got):\n%s", protocol, diff)
		}
		if err := s.Validate(); err != nil {
			t.Errorf("%s: %v", protocol, err)
		}
	}
}
