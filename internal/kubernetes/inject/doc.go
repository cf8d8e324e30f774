// Package inject puts Heddle's sidecar into pods.
//
// [Inject] is a pure function: a pod as it is admitted and [Settings] in, an
// [Outcome] out: the changed pod, the JSON patch that leads there, and warnings,
// or nothing but the warning why the pod is left as it is. A pod that asks for
// something impossible is refused with a [mesh.Error] that names every fault.
//
// A pod that was injected before is taken back to what it was first, so that
// injecting twice is injecting once, and another webhook that added containers
// in between is heard. Nothing here does I/O, reads the clock or starts a
// goroutine; internal/kubernetes/webhook is the server around it.
package inject
