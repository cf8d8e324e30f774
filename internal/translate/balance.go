package translate

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// balance says how the cluster chooses an instance.
func balance(c *clusterv3.Cluster, l mesh.LoadBalancing) {
	switch l.Policy {
	case mesh.LeastRequest:
		c.LbPolicy = clusterv3.Cluster_LEAST_REQUEST
	case mesh.Random:
		c.LbPolicy = clusterv3.Cluster_RANDOM
	case mesh.RingHash:
		c.LbPolicy = clusterv3.Cluster_RING_HASH
	case mesh.Maglev:
		c.LbPolicy = clusterv3.Cluster_MAGLEV
	default:
		c.LbPolicy = clusterv3.Cluster_ROUND_ROBIN
	}
	if len(l.LocalityWeights) > 0 {
		c.CommonLbConfig.LocalityConfigSpecifier = &clusterv3.Cluster_CommonLbConfig_LocalityWeightedLbConfig_{
			LocalityWeightedLbConfig: &clusterv3.Cluster_CommonLbConfig_LocalityWeightedLbConfig{},
		}
	}
}

func hashes(l mesh.LoadBalancing) bool { return l.Policy == mesh.RingHash || l.Policy == mesh.Maglev }

// hashPolicy is what of a request picks the instance, for the policies that hash.
func hashPolicy(l mesh.LoadBalancing) []*routev3.RouteAction_HashPolicy {
	if !hashes(l) {
		return nil
	}
	if l.HashHeader != "" {
		return []*routev3.RouteAction_HashPolicy{{PolicySpecifier: &routev3.RouteAction_HashPolicy_Header_{
			Header: &routev3.RouteAction_HashPolicy_Header{HeaderName: l.HashHeader},
		}}}
	}
	return []*routev3.RouteAction_HashPolicy{{PolicySpecifier: &routev3.RouteAction_HashPolicy_ConnectionProperties_{
		ConnectionProperties: &routev3.RouteAction_HashPolicy_ConnectionProperties{SourceIp: true},
	}}}
}

// tcpHashPolicy is the same for TCP, which has no headers.
func tcpHashPolicy(l mesh.LoadBalancing) []*typev3.HashPolicy {
	if !hashes(l) {
		return nil
	}
	return []*typev3.HashPolicy{{PolicySpecifier: &typev3.HashPolicy_SourceIp_{SourceIp: &typev3.HashPolicy_SourceIp{}}}}
}

// circuitBreakers bounds what one sidecar has open to the service. Retries are
// bounded by a share of the requests under way rather than by Envoy's default
// of 3: when an instance dies under load, every request that was about to go to
// it is retried at the same moment, and with the default conditions none of
// these has reached the service yet.
func circuitBreakers(s *mesh.Service) *clusterv3.CircuitBreakers {
	limits := mesh.CircuitBreaker{}
	if s.Traffic.CircuitBreaker != nil {
		limits = *s.Traffic.CircuitBreaker
	}
	threshold := &clusterv3.CircuitBreakers_Thresholds{
		Priority:           corev3.RoutingPriority_DEFAULT,
		MaxConnections:     count(limits.MaxConnections),
		MaxPendingRequests: count(limits.MaxPendingRequests),
		MaxRequests:        count(limits.MaxRequests),
		MaxRetries:         count(limits.MaxRetries),
	}
	if limits.MaxRetries == 0 {
		threshold.RetryBudget = retryBudget(s)
	}
	return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{threshold}}
}
