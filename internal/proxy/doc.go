// Package proxy runs Envoy for one workload: it writes Envoy's bootstrap,
// starts and restarts the process, keeps the instance's registration alive for
// as long as it can serve, and drains it before it stops.
//
// Main types: [BootstrapConfig], which [Bootstrap] turns into the JSON that
// Envoy starts from, and [Runner], whose Run is the whole life of one sidecar.
// The control plane is reached in two ways: Envoy itself holds the xDS stream,
// and the runner writes the instance's lease through a [Registrar]
// (internal/client in the heddle binary).
//
// Run owns all goroutines and has waited for them when it returns:
//
//	Run ── supervisor: one Envoy after the other (process.go: one locked OS
//	   │                thread holds each, see there why; two pipes: logs, admin address)
//	   ├── watch:       is Envoy ready, does its listener exist, is the application there
//	   └── lease:       registers, renews and gives up; it alone talks to the Registrar
//
// What they tell each other is one desired state (absent, healthy, unhealthy,
// draining) in the lease, of which only the latest counts: a control plane that
// is slow or away never holds up Envoy, and traffic never waits for it.
package proxy
