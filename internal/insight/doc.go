// Package insight answers questions of the whole mesh: what its declarations
// mean together, and how they agree with what was seen.
//
// Each answer is a pure function: of a [catalog.View], of what the xDS server
// says of proxies, which the caller hands in as small types of this package,
// and of the edges that sidecars reported ([mesh.Edge]). Its result is a plain
// type of package mesh, which the API, the CLI and the UI show alike.
//
// What Envoys do is read from what they are really sent: [Explain] translates the
// caller's scope and the callee's, and finds its way through listeners, routes,
// clusters, endpoints and filters as an Envoy does. It asks a [Mesh], which is the
// view and all that is known beside it. A test sends the same requests through real
// Envoys and compares.
//
// [Plan] translates much, and [Layout] weighs much; who serves them to many has them
// take [Turns].
//
// The package starts no goroutine, reads no clock and knows no storage.
package insight
