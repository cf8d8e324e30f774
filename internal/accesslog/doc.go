// Package accesslog takes what sidecars and gateways report of the calls that they
// saw, and answers who calls whom.
//
// [Service] is Envoy's access log service over gRPC. Who reports is whoever proved
// it, never what a report claims. It counts into a [Table]: a row for each pair of
// a reporter and its peer, with the totals and a ring of buckets for the rates of
// the last minute. Everything is bounded, and nobody can fill the room of others.
//
// [Keeper] joins the tables of several servers by what they share, a [Shelf] (etcd,
// by package registry): what is seen live is published and read every few seconds,
// what has to outlast servers (when was it seen first, last and refused, and how
// often) is saved coarsely. [Edges] of [Keeper.Sightings] are the answer.
//
// A stream has two goroutines, of which one ends with gRPC's; [Keeper.Run] is the
// only other one, and its caller's.
package accesslog
