package dashboards_test

import (
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/dashboards"
)

func TestFaultsOfQueriesAreFound(t *testing.T) {
	exported := dashboards.Exported{}
	exported.Parse("# HELP heddle_x_total x\n# TYPE heddle_x_total counter\nheddle_x_total{type=\"cds\"} 3\nheddle_y_seconds_bucket{le=\"+Inf\"} 1\n")
	known := func(_, value string) bool { return value == "eds" }
	for expr, want := range map[string]string{
		`sum by (type) (rate(heddle_x_total{type="cds",instance="a"}[5m]))`:         "",
		`heddle_x_total{type="eds"}`:                                                "",
		`heddle_x_total{type=~"l.*"}`:                                               "",
		`histogram_quantile(0.99, sum by (le) (rate(heddle_y_seconds_bucket[5m])))`: "",
		`heddle_x_total{type="lds"}`:                                                `never exported with type="lds"`,
		`heddle_x_total{kind="cds"}`:                                                "has no label kind",
		`sum by (kind) (heddle_x_total)`:                                            "groups by kind",
		`heddle_x`:                                                                  "no program exports heddle_x",
		`heddle_x_total > 0 and on(instance) heddle_z == 0`:                         "no program exports heddle_z",
		`sum by (envoy_cluster_name) (rate(envoy_cluster_upstream_rq_xx[5m]))`:      "",
	} {
		faults := strings.Join(exported.Faults(dashboards.Query{Where: "x", Expr: expr}, "heddle_", known), "\n")
		if want == "" && faults != "" || !strings.Contains(faults, want) {
			t.Errorf("%s: %q, want %q", expr, faults, want)
		}
	}
}
