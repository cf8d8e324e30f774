// Package gossip keeps a fleet of hosts in agreement about what each of them
// runs, with no server: membership and failure detection by memberlist, and on
// top of it one record per host, which that host alone writes.
//
// Main type: [Node]. A host hands it the full set of its entries with Publish; a
// [Feed] hands out what the others say. Entries are opaque bytes under a key.
//
// A record has an epoch, which grows when its host starts, and a version, which
// grows with each change; no clock is read, so a wrong one does no harm. What
// changed spreads at once from host to host as [Delta], each in one packet or, if
// it is larger, as a notice whose readers fetch it over a connection. What was
// missed is found by the digests (host, epoch, version) that memberlist's
// push-pull exchanges, and fetched from whoever has it. So nothing is sent while
// nothing changes, however many entries there are.
//
// State (state.go) and what is to be told (rumors.go) are values without sockets,
// clocks or goroutines; node.go joins them to memberlist, and its Run owns all
// goroutines.
package gossip
