package api

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/heddle-mesh/heddle/internal/hosts"
)

// Metrics counts what is in the fleet when it is asked to.
type Metrics struct {
	State func() *hosts.State
}

var (
	membersDesc  = prometheus.NewDesc("heddle_fleet_members", "Hosts of the fleet as this one sees them, by status (alive, failed).", []string{"status"}, nil)
	copiesDesc   = prometheus.NewDesc("heddle_fleet_copies", "Copies of services on hosts that are alive, by health (healthy, unhealthy, unknown, draining).", []string{"health"}, nil)
	localDesc    = prometheus.NewDesc("heddle_host_copies", "Copies of services on this host, by health.", []string{"health"}, nil)
	servicesDesc = prometheus.NewDesc("heddle_fleet_services", "Services that any host runs.", nil, nil)
	problemsDesc = prometheus.NewDesc("heddle_fleet_problems", "Services that are not served as their hosts say it.", nil, nil)
	versionDesc  = prometheus.NewDesc("heddle_fleet_changes_total", "Changes of the fleet since this agent started.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (Metrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{membersDesc, copiesDesc, localDesc, servicesDesc, problemsDesc, versionDesc} {
		to <- d
	}
}

// Collect implements [prometheus.Collector].
func (m Metrics) Collect(to chan<- prometheus.Metric) {
	state := m.State()
	fleet := FleetOf(state)
	members := map[string]int{MemberAlive: 0, MemberFailed: 0}
	copies, local := healths(), healths()
	for _, one := range fleet.Members {
		members[one.Status]++
		if one.Status != MemberAlive {
			continue
		}
		for _, s := range one.Services {
			health := s.Health
			if _, known := copies[health]; !known { // a newer host's: labels are bounded
				health = hosts.Unknown
			}
			copies[health]++
			if one.Name == fleet.Host {
				local[health]++
			}
		}
	}
	gauge := func(d *prometheus.Desc, n int, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	for status, n := range members {
		gauge(membersDesc, n, status)
	}
	for health, n := range copies {
		gauge(copiesDesc, n, string(health))
		gauge(localDesc, local[health], string(health))
	}
	gauge(servicesDesc, len(fleet.byName()))
	gauge(problemsDesc, len(fleet.Problems))
	to <- prometheus.MustNewConstMetric(versionDesc, prometheus.CounterValue, float64(state.Version))
}

func healths() map[hosts.Health]int {
	return map[hosts.Health]int{hosts.Healthy: 0, hosts.Unhealthy: 0, hosts.Unknown: 0, hosts.Draining: 0}
}
