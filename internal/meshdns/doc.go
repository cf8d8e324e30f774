// Package meshdns answers the DNS queries of one machine's applications: names of
// the mesh by itself, all others as the resolvers in resolv.conf do.
//
// Main type: [Server]. [Listen] takes its ports, UDP and TCP, and Run answers until
// its context ends. "orders.mesh" has the address that mesh.VirtualAddress makes of
// the name, whether or not there is such a service: no table is kept, and the
// sidecar says what is not declared. Everything else is passed on byte for byte
// (EDNS, DNSSEC, truncation), by a socket of its own for each query, so that an
// answer from elsewhere is not taken.
//
// Run owns a goroutine for each socket and for each query that is under way, of
// which there is a bound, and has waited for all of them when it returns.
package meshdns
