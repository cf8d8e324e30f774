// Package grpcapi serves the gRPC API, package heddle.v1: UpstreamService and
// ServiceService, which add, change, remove, list and watch what the registry
// holds.
//
// Main type: [API]. Requests come in as protocol buffers, become the model's
// types (decode*.go), are validated by the model, and are written to or read
// from the registry; answers go the other way (encode*.go). Refusals become gRPC
// statuses with every fault as a field violation (status.go). An upstream is a
// service whose endpoints are a host name or a list of addresses, so both gRPC
// services share one write path (write.go), one list (list.go) and one watch
// (watch.go).
//
// The package owns no goroutine: each call runs on gRPC's. [API.Stop] ends the
// watches, so that a graceful stop of the gRPC server does not wait for them.
package grpcapi
