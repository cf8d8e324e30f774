package grpcapi

import (
	heddlev1 "github.com/heddle-mesh/heddle/api/heddle/v1"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

func (d *decoder) traffic(m *heddlev1.Traffic) mesh.Traffic {
	return mesh.Traffic{
		Timeout:          d.duration("traffic.timeout", m.GetTimeout()),
		NoTimeout:        m.GetNoTimeout(),
		IdleTimeout:      d.duration("traffic.idleTimeout", m.GetIdleTimeout()),
		ConnectTimeout:   d.duration("traffic.connectTimeout", m.GetConnectTimeout()),
		HostHeader:       m.GetHostHeader(),
		Retries:          d.retries("traffic.retries", m.GetRetries()),
		LoadBalancing:    loadBalancing(m.GetLoadBalancing()),
		CircuitBreaker:   circuitBreaker(m.GetCircuitBreaker()),
		OutlierDetection: d.outlierDetection(m.GetOutlierDetection()),
		TLS:              upstreamTLS(m.GetTls()),
	}
}

func (d *decoder) retries(path string, m *heddlev1.Retries) *mesh.Retries {
	if m == nil {
		return nil
	}
	return &mesh.Retries{Attempts: int(m.GetAttempts()), On: m.GetOn(), PerTryTimeout: d.duration(path+".perTryTimeout", m.GetPerTryTimeout())}
}

func loadBalancing(m *heddlev1.LoadBalancing) mesh.LoadBalancing {
	out := mesh.LoadBalancing{Policy: policies.decode(m.GetPolicy()), HashHeader: m.GetHashHeader()}
	for _, w := range m.GetLocalityWeights() {
		out.LocalityWeights = append(out.LocalityWeights, mesh.LocalityWeight{Region: w.GetRegion(), Zone: w.GetZone(), Weight: int(w.GetWeight())})
	}
	return out
}

func circuitBreaker(m *heddlev1.CircuitBreaker) *mesh.CircuitBreaker {
	if m == nil {
		return nil
	}
	return &mesh.CircuitBreaker{
		MaxConnections:     int(m.GetMaxConnections()),
		MaxPendingRequests: int(m.GetMaxPendingRequests()),
		MaxRequests:        int(m.GetMaxRequests()),
		MaxRetries:         int(m.GetMaxRetries()),
	}
}

func (d *decoder) outlierDetection(m *heddlev1.OutlierDetection) *mesh.OutlierDetection {
	if m == nil {
		return nil
	}
	return &mesh.OutlierDetection{
		ConsecutiveErrors:  int(m.GetConsecutiveErrors()),
		Interval:           d.duration("traffic.outlierDetection.interval", m.GetInterval()),
		BaseEjectionTime:   d.duration("traffic.outlierDetection.baseEjectionTime", m.GetBaseEjectionTime()),
		MaxEjectionPercent: int(m.GetMaxEjectionPercent()),
	}
}

func upstreamTLS(m *heddlev1.UpstreamTls) *mesh.UpstreamTLS {
	if m == nil {
		return nil
	}
	return &mesh.UpstreamTLS{SNI: m.GetSni(), CA: m.GetCa(), SubjectAltNames: m.GetSubjectAltNames(), MinVersion: tlsVersions.decode(m.GetMinVersion())}
}

func (d *decoder) healthCheck(m *heddlev1.HealthCheck) *mesh.HealthCheck {
	if m == nil {
		return nil
	}
	return &mesh.HealthCheck{
		Type:               checkTypes.decode(m.GetType()),
		Path:               m.GetPath(),
		ExpectedStatus:     int(m.GetExpectedStatus()),
		Interval:           d.duration("healthCheck.interval", m.GetInterval()),
		Timeout:            d.duration("healthCheck.timeout", m.GetTimeout()),
		HealthyThreshold:   int(m.GetHealthyThreshold()),
		UnhealthyThreshold: int(m.GetUnhealthyThreshold()),
	}
}
