package grpcapi

import (
	heddlev1 "github.com/heddle-mesh/heddle/api/heddle/v1"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

func encodeTraffic(t *mesh.Traffic) *heddlev1.Traffic {
	m := &heddlev1.Traffic{
		Timeout:        encodeDuration(t.Timeout),
		NoTimeout:      t.NoTimeout,
		IdleTimeout:    encodeDuration(t.IdleTimeout),
		ConnectTimeout: encodeDuration(t.ConnectTimeout),
		HostHeader:     t.HostHeader,
		Retries:        encodeRetries(t.Retries),
		LoadBalancing:  orNil(encodeLoadBalancing(&t.LoadBalancing)),
	}
	if c := t.CircuitBreaker; c != nil {
		m.CircuitBreaker = &heddlev1.CircuitBreaker{
			MaxConnections:     int32(c.MaxConnections),
			MaxPendingRequests: int32(c.MaxPendingRequests),
			MaxRequests:        int32(c.MaxRequests),
			MaxRetries:         int32(c.MaxRetries),
		}
	}
	if o := t.OutlierDetection; o != nil {
		m.OutlierDetection = &heddlev1.OutlierDetection{
			ConsecutiveErrors:  int32(o.ConsecutiveErrors),
			Interval:           encodeDuration(o.Interval),
			BaseEjectionTime:   encodeDuration(o.BaseEjectionTime),
			MaxEjectionPercent: int32(o.MaxEjectionPercent),
		}
	}
	if tls := t.TLS; tls != nil {
		m.Tls = &heddlev1.UpstreamTls{Sni: tls.SNI, Ca: tls.CA, SubjectAltNames: tls.SubjectAltNames, MinVersion: tlsVersions.encode(tls.MinVersion)}
	}
	return m
}

func encodeRetries(r *mesh.Retries) *heddlev1.Retries {
	if r == nil {
		return nil
	}
	return &heddlev1.Retries{Attempts: int32(r.Attempts), On: r.On, PerTryTimeout: encodeDuration(r.PerTryTimeout)}
}

func encodeLoadBalancing(l *mesh.LoadBalancing) *heddlev1.LoadBalancing {
	m := &heddlev1.LoadBalancing{Policy: policies.encode(l.Policy), HashHeader: l.HashHeader}
	for _, w := range l.LocalityWeights {
		m.LocalityWeights = append(m.LocalityWeights, &heddlev1.LocalityWeight{Region: w.Region, Zone: w.Zone, Weight: int32(w.Weight)})
	}
	return m
}

func encodeHealthCheck(h *mesh.HealthCheck) *heddlev1.HealthCheck {
	if h == nil {
		return nil
	}
	return &heddlev1.HealthCheck{
		Type:               checkTypes.encode(h.Type),
		Path:               h.Path,
		ExpectedStatus:     int32(h.ExpectedStatus),
		Interval:           encodeDuration(h.Interval),
		Timeout:            encodeDuration(h.Timeout),
		HealthyThreshold:   int32(h.HealthyThreshold),
		UnhealthyThreshold: int32(h.UnhealthyThreshold),
	}
}
