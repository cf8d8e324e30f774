// Package gatewayapi makes the mesh's routes of the Kubernetes Gateway API.
//
// [Translate] is a pure function of a [Snapshot] (GatewayClasses of
// [ControllerName], their Gateways, HTTPRoutes, GRPCRoutes, and what those refer
// to) and gives a [Result]: the mesh's routes and services that follow from them,
// what each Gateway needs of its proxies, and what is said in the status of every
// object. It goes in the order in which the objects refer to each other: classes,
// gateways and their listeners, then routes, which attach to listeners, and the
// backends that routes name.
//
// A mesh route is made for each match of each rule, for each Gateway and scheme.
// What the mesh's routes cannot say is refused as a whole route, with
// UnsupportedValue: nothing is served that means something else than what is written.
//
// A [Controller] reads the snapshot from a cluster's caches and the registry, and writes
// the result to the registry and the status of the objects. It runs on the goroutines
// of the manager that it is added to, on the leader alone.
package gatewayapi
