// Package mesh is Heddle's model: the plain Go types that owners declare and
// that every other package speaks. The same types are the JSON in etcd, the
// bodies of the REST API and the specs of custom resources.
//
// Main types: [Service] (what an owner declares, its dependencies above all),
// [Instance] (one running copy), [Route] (exposure on a gateway), [Runtime]
// (the runtime layer of all proxies) and [Proxy] (what one sidecar tells the
// control plane about itself).
//
// Data comes in through [Decode], which is strict and reports every fault at
// once with the path of its field, and through the Validate methods, which do
// the same for meaning. Nothing here does I/O, reads the clock or starts a
// goroutine; the package imports the standard library only.
package mesh
