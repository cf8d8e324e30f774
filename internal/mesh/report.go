package mesh

// What proxies report of calls, by Envoy's access log service: whoever writes their
// configuration and whoever takes the reports agree on these.
const (
	// ControlPlaneCluster is what bootstraps call the control plane.
	ControlPlaneCluster = "xds_cluster"

	// The names of the logs: what a proxy's own application or clients called; what
	// it refused, or would have; and who called it in plain text.
	CallsReport     = "calls"
	RefusalsReport  = "refusals"
	StrangersReport = "strangers"

	// The names of the tags.
	ReportedCode    = "code"    // the status of the answer
	ReportedGRPC    = "grpc"    // the grpc-status of a gRPC request's answer, as a number
	ReportedDetails = "details" // Envoy's words for who gave it, and why
	ReportedReason  = "reason"  // x-heddle-reason
	ReportedHost    = "host"    // that was asked for
	ReportedPeer    = "peer"    // the caller's SPIFFE ID
)
