package translate

import (
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	previousv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// defaultAttempts is how many attempts follow the first unless declared.
const defaultAttempts = 2

// defaultConditions are the failures that never reached the service, so that
// any request may be sent again. The sidecar of the called service tells of its
// own by a header, see reasonUnreached. gRPC's UNAVAILABLE is none of them: it
// is also what callers are told of a service that crashed while it worked.
func defaultConditions() []string {
	return []string{"connect-failure", "refused-stream", "reset-before-request", "retriable-headers"}
}

// retryPolicy is when and how often a failed attempt is made again: the rule's
// own, else the service's, else the default. nil means never.
func retryPolicy(s *mesh.Service, r *mesh.Retries) *routev3.RetryPolicy {
	if r == nil {
		r = s.Traffic.Retries
	}
	if r == nil {
		r = &mesh.Retries{Attempts: defaultAttempts}
	}
	if r.Attempts <= 0 {
		return nil
	}
	on := r.On
	if len(on) == 0 {
		on = defaultConditions()
	}
	policy := &routev3.RetryPolicy{
		RetryOn:       strings.Join(on, ","),
		NumRetries:    wrapperspb.UInt32(uint32(r.Attempts)),
		PerTryTimeout: optional(r.PerTryTimeout),
		RetryHostPredicate: []*routev3.RetryPolicy_RetryHostPredicate{{
			Name:       "envoy.retry_host_predicates.previous_hosts",
			ConfigType: &routev3.RetryPolicy_RetryHostPredicate_TypedConfig{TypedConfig: pack(&previousv3.PreviousHostsPredicate{})},
		}},
		HostSelectionRetryMaxAttempts: 5,
	}
	if slices.Contains(on, "retriable-headers") {
		policy.RetriableHeaders = []*routev3.HeaderMatcher{exactHeader(reasonHeader, reasonUnreached)}
	}
	return policy
}

// retryBudget bounds the retries under way by a share of the requests under way.
func retryBudget(s *mesh.Service) *clusterv3.CircuitBreakers_Thresholds_RetryBudget {
	share := 100.0
	if careless := func(r *mesh.Retries) bool { return r != nil && len(r.On) > 0 }; careless(s.Traffic.Retries) ||
		slices.ContainsFunc(s.Routes, func(rule mesh.RouteRule) bool { return careless(rule.Retries) }) {
		share = 20 // such conditions send again what the service has worked on, so a storm has to be stopped
	}
	return &clusterv3.CircuitBreakers_Thresholds_RetryBudget{
		BudgetPercent:       &typev3.Percent{Value: share},
		MinRetryConcurrency: wrapperspb.UInt32(10),
	}
}
