// Package dashboards holds the queries of deploy/observability to what programs
// really export, for tests: [Read] finds every query of the dashboards and the
// alerts, [Parse] reads what a program exported in Prometheus's text format, and
// [Exported.Faults] says which metrics and labels of a query are not in it.
//
// Whether a query is valid is promtool's to judge. This reads no more of a query
// than the names in it.
package dashboards
