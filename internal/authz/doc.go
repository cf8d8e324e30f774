// Package authz is the AuthZ service: the sidecar of a caller asks it before
// each request, and is given a signed token for the callee if the caller has
// declared that it calls it.
//
// A request comes in through [Service], Envoy's ext_authz over gRPC. It takes
// the caller from the verified certificate of the connection and the callee from
// the route, asks [Edges] whether the one may call the other, and has [Issuer]
// give a token. The issuer answers from its cache; what is not there it takes
// from Redis ([Remote]) or signs with the key of [Keyring], once however many ask
// for it at the same time. [Handler] publishes the public keys. Where a gateway's
// route names an edge, [Visitors] says first who the user is; package edge does that.
//
// [Keyring.Run] owns the rotation of keys, [Issuer.Run] the writing to Redis and
// every generation of a token. Nothing else is started.
package authz
