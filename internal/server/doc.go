// Package server is Heddle's REST API: it reads and writes the mesh in the
// registry, over HTTP, for people, scripts and the command line.
//
// Main type: [Server], an [http.Handler]. Requests under /api/v1 are routed by
// net/http and described by huma, from which /openapi.json and /docs are made.
// Bodies are decoded by [mesh.Decode], never by huma, so that every fault is
// reported at once with its path; every refusal is an RFC 9457 problem.
//
// Reads come from the registry, so that a writer reads what it wrote; the
// catalog is asked only for what spans objects (pending dependencies, ports
// that collide). What other packages know (proxies, problems) comes in through
// functions in [Config].
//
// Pages for people are the matter of [Config.UI], which has all paths below /ui/.
//
// Nothing runs in the background. A change stream's goroutines end with its
// request, or with [Server.Close].
package server
