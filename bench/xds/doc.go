// Command xds measures how fast xDS servers bring configuration to many
// sidecars, all of them on the same work and in one run:
//
//	floor      a raw gRPC server that sends bytes encoded beforehand
//	linear     go-control-plane's LinearCache
//	snapshot   go-control-plane's SnapshotCache
//	heddle     a real `heddle server`, with its etcd
//
// Each is a process of its own, whose processor time and memory are read from
// /proc; the clients are delta streams of this process (see [sidecar]). The
// world (world.go) has one service that calls all others, so that every stream
// holds everything; scoped.go has a second one in which each service calls five.
//
// It prints a table and writes .bench/xds.json. Run it with `make bench-xds`,
// or a part of it: go run ./bench/xds -only floor,heddle -size small.
package main
