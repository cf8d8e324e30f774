// Command bench-authz measures what a check of the AuthZ service costs, beside a
// server that does nothing: `make bench-authz`.
//
// Servers are processes of their own and take turns within each round. The floor
// is ext_authz on default grpc-go that says yes to everything; floor-token says
// the same with a token of the usual size, which tells what the bytes alone cost.
// heddle is asked for pairs that it has tokens of; heddle-redis has room for one
// token in its process, so that all others come from Redis; heddle-cold is heddle
// with one request in a thousand for a pair that nobody has asked for before.
//
// Then a request through the caller's Envoy, the callee's and the application, with
// real meshes: mesh-plain has no identities, mesh-mtls mutual TLS, and in mesh-asked
// each request asks for its token first; in mesh-pushed the caller's Envoy has it. Their processor time is that of both
// Envoys and of the server, which is the AuthZ service too.
//
// Last the callee's Envoy alone, called by mutual TLS with a token: callee-checks
// validates it and looks whether the caller may call, callee-rbac looks for the
// caller only, callee-bare does neither; each with 1 and with 1,000 who may.
package main
