package hosts

import (
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// treat says how proxies treat the calls of a service, for nobody declares it on hosts:
// a copy whose host is gone without a word is to cost time, and no request that may be
// made again.
func treat(s *mesh.Service) {
	switch s.Protocol {
	case mesh.TCP:
		// The next attempt may be at the same copy, unless it was put out of rotation: also
		// when others are out still that failed before, for as long as one stays in.
		s.Traffic.Retries = &mesh.Retries{Attempts: 4}
		s.Traffic.OutlierDetection = &mesh.OutlierDetection{
			ConsecutiveErrors: 1, Interval: mesh.Duration(time.Second), BaseEjectionTime: mesh.Duration(5 * time.Second), MaxEjectionPercent: 99,
		}
	case mesh.HTTP, mesh.HTTP2:
		// What only reads may be asked again though it was sent (RFC 9110, section 9.2.1).
		// Of what was sent to a host that is gone no answer comes: all of it is retried at
		// once, which the budget of careful conditions would not let through.
		s.Traffic.CircuitBreaker = &mesh.CircuitBreaker{MaxRetries: 1000}
		s.Routes = []mesh.RouteRule{{
			Match:   mesh.RequestMatch{Methods: []string{"GET", "HEAD", "OPTIONS"}},
			Retries: &mesh.Retries{Attempts: 2, On: []string{"connect-failure", "refused-stream", "reset-before-request", "reset"}},
		}}
	}
}
