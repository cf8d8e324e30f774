// Package client is the typed client of Heddle's REST API, used by the command
// line, the proxy runner and the demo.
//
// A [Client] has one method for each operation. Objects go in and come out as
// the types of package mesh; what only the server knows (proxies, problems,
// tokens, events) has its type here. Refusals come back as *[mesh.Error] with
// their kind and every fault; a server that cannot be reached is
// [mesh.KindUnavailable].
//
// The package starts no goroutine that outlives a call, and a Client is safe
// for use by many goroutines.
package client
