// Package translate turns the catalog's view of the mesh into Envoy resources:
// listeners, clusters, endpoints, routes, secrets and runtime.
//
// Main types: [Scope] (what one proxy may see: its own service and what that
// service declared) and [Resource] (one named Envoy message). [Build] makes all
// resources of a scope, [Endpoints] the endpoints of one service. Everything
// here is a pure function: the same view and scope give the same resources in
// the same order, whatever order the catalog was filled in. Nothing does I/O,
// reads the clock or starts a goroutine.
//
// Names are unique in the whole mesh, and one name always stands for one
// content, so that scopes can share resources:
//
//	cluster, endpoints "<dependency>"          one for all callers
//	cluster "subset.<dependency>.<subset>"     the target of mirrored requests
//	routes "direct.<dependency>"               behind a dependency's own port
//	secret "ca.<dependency>", "trust.system"   what TLS upstreams are verified by
//	routes "outbound.<service>"                what a service may call by host name
//	runtime "heddle"                           one for all proxies
//	secret "trust.mesh"                        the roots that peers are verified by
//	cluster, endpoints "heddle.authz"          the AuthZ services
//	filters "callers.<service>", "token.<service>"
//	                                           what its sidecars check callers by
//	listener "inbound.<scope>", "outbound.<scope>", "own.<dependency>.<scope>"
//	listener "transparent.<scope>", "virtual.<dependency>.<scope>"
//	                                           where connections are intercepted
//	cluster "outside.passthrough"              what is outside the mesh, for those
//	listener "<dependency>"; routes and cluster "proxyless.<dependency>"
//	                                           for gRPC libraries, one for all callers
//	cluster "app.<scope>"                      the application itself
//	listener "inbound.<scope>.ipv6", cluster "app.<scope>.ipv6"
//	                                           for callers by IPv6 beside those, where the
//	                                           application sees its callers' addresses (TPROXY)
//
// Proxies without an identity, in a mesh that has them, share clusters and routes
// named "plain.<name>", and those that are handed their tokens "push.<name>".
//
// What is declared has passed the model's validation, which keeps out what Envoy
// would refuse. Listeners that clash on one sidecar's machine, which no
// declaration alone can show, are left out and told as a [Problem].
package translate
