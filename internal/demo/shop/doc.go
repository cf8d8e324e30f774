// Package shop holds the sample applications of the demo: web, orders, payments,
// ledger, stock and reviews. Each listens where it is told, and makes every call to
// its own sidecar, naming the service it wants by the Host header, the gRPC
// authority, or the port. All that they know of Heddle is the header with the
// mesh's token: they read who calls from it, for their sidecars have checked it.
//
// Main types: [App], one running copy of one of them, and [Answer], what every
// app says: who served, and what those said that it called. So the answer to
// one request tells the way that it took through the mesh:
//
//	web ── orders ─┬─ payments ── ledger (TCP, a line protocol)
//	               └─ stock (gRPC)
//
// [Whoami] makes an app that only says who it is, for the demo of hosts.
//
// Serve blocks and owns the app's goroutines; it ends when its context does,
// after the requests under way.
package shop
