package translate

import (
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// healthChecks are the checks that each caller's sidecar makes.
func healthChecks(s *mesh.Service) []*corev3.HealthCheck {
	h := s.HealthCheck
	if h == nil {
		return nil
	}
	interval := or(h.Interval, 5*time.Second)
	check := &corev3.HealthCheck{
		Timeout:            or(h.Timeout, time.Second),
		Interval:           interval,
		HealthyThreshold:   countOr(h.HealthyThreshold, 2),
		UnhealthyThreshold: countOr(h.UnhealthyThreshold, 3),
		// Envoy asks once a minute while there is no traffic, unless told.
		NoTrafficInterval: interval,
		// So that the callers that were told of an instance together do not ask together.
		IntervalJitterPercent: 10,
	}
	switch h.Type {
	case mesh.CheckGRPC:
		check.HealthChecker = &corev3.HealthCheck_GrpcHealthCheck_{GrpcHealthCheck: &corev3.HealthCheck_GrpcHealthCheck{}}
	case mesh.CheckTCP:
		check.HealthChecker = &corev3.HealthCheck_TcpHealthCheck_{TcpHealthCheck: &corev3.HealthCheck_TcpHealthCheck{}}
	default:
		check.HealthChecker = &corev3.HealthCheck_HttpHealthCheck_{HttpHealthCheck: httpCheck(s)}
	}
	return []*corev3.HealthCheck{check}
}

func httpCheck(s *mesh.Service) *corev3.HealthCheck_HttpHealthCheck {
	path, status := s.HealthCheck.Path, int64(s.HealthCheck.ExpectedStatus)
	if path == "" {
		path = "/"
	}
	if status == 0 {
		status = 200
	}
	check := &corev3.HealthCheck_HttpHealthCheck{
		Host:             s.Traffic.HostHeader,
		Path:             path,
		ExpectedStatuses: []*typev3.Int64Range{{Start: status, End: status + 1}},
	}
	if s.Protocol == mesh.HTTP2 || s.Protocol == mesh.GRPC {
		check.CodecClientType = typev3.CodecClientType_HTTP2
	}
	return check
}

// outlierDetection ejects by errors in a row only: Envoy's success-rate sweep,
// on by default, would eject more than was declared.
func outlierDetection(o *mesh.OutlierDetection) *clusterv3.OutlierDetection {
	if o == nil {
		return nil
	}
	return &clusterv3.OutlierDetection{
		Consecutive_5Xx:      countOr(o.ConsecutiveErrors, 5),
		Interval:             or(o.Interval, 10*time.Second),
		BaseEjectionTime:     or(o.BaseEjectionTime, 30*time.Second),
		MaxEjectionPercent:   countOr(o.MaxEjectionPercent, 50),
		EnforcingSuccessRate: wrapperspb.UInt32(0),
	}
}
