// Package probes answers a kubelet in the place of the applications of a pod, whose
// ports are redirected to a sidecar that takes nothing but mutual TLS.
//
// Main types: [Probe], one of an application's own probes as Kubernetes writes it,
// and [Handler], which serves /ready (can the sidecar serve?) and
// /probe/CONTAINER/KIND, for which it makes that probe from within the pod by the
// kubelet's rules: 200 when it succeeds, 503 when not. Why not is in the log, for
// anybody may ask.
package probes
