// Package demo runs a sample mesh on one machine: `heddle server` with its
// embedded etcd, two `heddle authz`, the sample applications of package shop inside
// this process, beside each of them a real Envoy run by `heddle proxy`, and a
// gateway before them. All have identities: sidecars take mutual TLS and tokens of
// the mesh, the gateway takes users with a token of an issuer in this process, which
// stands in for Cloudflare Access. [Run] is all of it: it starts everything, then
// either stays until its context ends or plays the scenario ([Config.Once]) and
// reports on it ([Result]); and it returns only when every process that it started
// is gone.
//
// run.go tells the story, and is played on package stage, which has child processes and
// results. ports.go has the block of ports that one demo has for itself, server.go, authorizer.go, sidecar.go and
// gateway.go the kinds of children, issuer.go who proves users, town.go which
// services and instances there are. load.go keeps requests flowing;
// scenario.go calls the steps, one file each; direct.go is the intruder in them.
//
// Run owns every goroutine and every process: the apps and the load end with
// its context, the children are stopped in order, callers first.
package demo
