// Package haproxy has HAProxy serve what a service of the mesh calls: the second
// consumer of the catalog beside translate and xds.
//
// Main types: [Runner], whose Run is the whole life of one HAProxy, and plan, which is
// what it is to serve: listeners, and services each with slots for their instances.
//
// Data flow one way:
//
//	catalog ── planOf ──▶ plan ── fit ──▶ slots ──┬─ commands ─▶ Runtime API
//	                                              └─ render ───▶ configuration, reload
//
// plan.go, slots.go and render.go are pure. Each service has more slots than it has
// instances, so that those come, go and drain by the Runtime API; HAProxy is reloaded
// only when there is another listener or service, or when slots run out. What runs is
// always known: the configuration file says the state that HAProxy is in, whoever
// reloads it. It is written up to a second after the changes (keep.go), so that neither
// they nor the next ones wait for that; reloads of the runner's own do not use it.
//
// Run is one goroutine (supervise.go: one HAProxy after the other; follow.go: what it
// serves; leave.go: the end), with those of the process: a locked thread that holds it,
// and the reader of what it says.
package haproxy
