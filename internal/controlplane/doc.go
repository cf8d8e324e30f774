// Package controlplane joins the stages: it waits for changes of the catalog,
// translates what the connected proxies' scopes need of them, and hands the
// result to the xDS server as one transaction.
//
// Main type: [ControlPlane]. Its Run loop is the only goroutine that owns its
// state; Open, called by the xDS server for each new stream, is a message to
// that loop. Only the scopes of connected proxies are translated, so a change
// costs by the number of connected proxies' services that declared what
// changed, never by the size of the mesh.
package controlplane
