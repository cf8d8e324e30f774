// Command ui measures what people wait for at 2,000 services with 20,000
// instances: pages, the topology, explanations and other answers, lists of the
// REST API. It asks a heddle server in a process of its own, as an admin who has
// signed in, with a sidecar of each service connected that reports calls, an
// audit of 10,000 entries, and a mesh that changes before each round. Each time is
// also a ratio to a handler of that server that does nothing, asked in the same
// round over loopback. A second of access log entries is measured by itself. It
// prints a table and writes .bench/ui.json. Run it with `make bench-ui`.
package main
