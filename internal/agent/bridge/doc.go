// Package bridge joins a fleet of hosts to a mesh that has a server: what hosts run is
// registered as instances of the services that are declared there, and what the mesh
// runs becomes known to the hosts.
//
// Main type: [Bridge]. The agent runs it, which tells the other hosts what the mesh runs
// and how this bridge does; its Export keeps the fleet's copies registered, each by a
// lease: when no bridge is left, they end as any others. Of several bridges each registers
// its share, and takes over the share of one that is lost, cut off from the server or
// refused by it (standing.go); nothing is held back from the hosts' own traffic while the
// server is away. What came over a bridge goes over none again.
//
// Data flow:
//
//	server ── events ──▶ mirror ──▶ Run: the fleet is told (source "mesh", and [hosts.Bridge])
//	                        └─────▶ Export: what is declared ∩ what hosts run ──▶ leases ──▶ server
package bridge
