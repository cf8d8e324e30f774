// Package lease keeps one instance registered for as long as it can serve, by a
// registry that may be away, and tells callers when it cannot.
//
// Main type: [Lease]. Its Run alone talks to the [Registrar]; Set says what is wanted
// from then on, of which only the latest counts, so that nobody waits for the registry.
package lease
