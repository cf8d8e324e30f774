package gatewayapi

import (
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	gw "sigs.k8s.io/gateway-api/apis/v1"
)

// Metrics are what operators watch of the Gateway API.
type Metrics struct{ objects *prometheus.GaugeVec }

// NewMetrics makes them, and registers them.
func NewMetrics(r prometheus.Registerer, clusters ...string) *Metrics {
	m := &Metrics{objects: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "heddle_operator_gateway_api_objects",
		Help: "Objects of the Gateway API that are ours, as of the leader's last look, by cluster, kind (Gateway, HTTPRoute, GRPCRoute) and state: accepted, or refused, whose conditions say why.",
	}, []string{"cluster", "kind", "state"})}
	r.MustRegister(m.objects)
	for _, one := range clusters {
		m.count(one, &Statuses{})
	}
	return m
}

// count takes what was said of the objects.
func (m *Metrics) count(cluster string, s *Statuses) {
	if m == nil {
		return
	}
	counts := map[[2]string]int{}
	for _, kind := range []string{"Gateway", string(httpRoute), string(grpcRoute)} {
		counts[[2]string{kind, accepted}], counts[[2]string{kind, refused}] = 0, 0
	}
	for _, one := range s.Gateways {
		counts[[2]string{"Gateway", stateOf(meta.IsStatusConditionTrue(one.Conditions, string(gw.GatewayConditionAccepted)))}]++
	}
	for object, one := range s.Routes {
		is := true
		for _, parent := range one.Parents {
			is = is && (parent.ControllerName != ControllerName || meta.IsStatusConditionTrue(parent.Conditions, string(gw.RouteConditionAccepted)))
		}
		counts[[2]string{string(object.Kind), stateOf(is)}]++
	}
	for of, count := range counts {
		m.objects.WithLabelValues(cluster, of[0], of[1]).Set(float64(count))
	}
}

const accepted, refused = "accepted", "refused"

func stateOf(is bool) string {
	if is {
		return accepted
	}
	return refused
}
