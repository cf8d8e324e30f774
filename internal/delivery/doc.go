// Package delivery hands a workload's Envoy the tokens that it calls others with, so
// that no request has to ask for one (token delivery push).
//
// [Serve] is a secret discovery service (SDS) on a Unix socket: Envoy asks for the
// secret mesh.TokenSecret of each service that it calls, and is sent another whenever
// the token changes. An [Asker] gets them from the AuthZ services, as Envoy itself
// would. Every stream asks again each second or two, for what its callee's owner
// or a revoked key has changed meanwhile; it owns its goroutines.
package delivery
