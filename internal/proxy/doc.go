// Package proxy runs Envoy for one workload: it writes Envoy's bootstrap,
// starts and restarts the process, keeps the instance's registration alive for
// as long as it can serve, and drains it before it stops.
//
// Main types: [BootstrapConfig], which [Bootstrap] turns into the JSON that
// Envoy starts from ([ProxylessBootstrap] is for gRPC libraries that need none), and [Runner], whose Run is the whole life of one sidecar.
// The control plane is reached in two ways: Envoy itself holds the xDS stream,
// and the runner writes the instance's lease through a [Registrar]
// (internal/client in the heddle binary).
//
// Run is one story told by one goroutine (supervise.go: one Envoy after the
// other; watch.go: can it serve; leave.go: the end), with two others, for which it
// has waited when it returns:
//
//	Run ── the lease: registers, renews and gives up; it alone talks to the Registrar
//	   └── one Envoy process: a locked OS thread that holds it (process.go says
//	       why), and the readers of its pipes (bootstrap, admin address, log)
//
// What Run tells the lease is one desired state (absent, healthy, unhealthy,
// draining), of which only the latest counts: a control plane that is slow or away
// never holds up Envoy, and traffic never waits for it.
package proxy
