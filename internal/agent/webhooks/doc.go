// Package webhooks tells listeners by HTTP what changes in the fleet, in the form that
// Sidecar's receivers read: each event with the whole fleet after it.
//
// Main type: [Hooks], whose Run has one goroutine for each listener, and waits for all. A
// listener is a URL that was configured, or a service of this host that asked for it; the
// latter is told at its own address alone, whatever its label says.
//
// Nothing is queued but what a listener has not heard yet, one event for each copy at
// most: one that is slow or away hears the newest of each afterwards, and after a burst
// one event for each service.
package webhooks
