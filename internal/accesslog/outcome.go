package accesslog

import (
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// outcome is what an answer says of its call.
type outcome struct {
	status string // as its caller saw it; "" for none that may be told
	failed bool
	denied bool // a reason beside it tells of a refusal
}

// outcome reads the answer of a report; of gRPC, where nearly all are 200, the
// grpc-status.
func (r *report) outcome() outcome {
	if r.code == "200" {
		return outcomeOfGRPC(r.grpc, r.reason)
	}
	o := outcome{status: r.code, failed: r.code != "" && r.code[0] == '5'}
	o.denied = r.code == "401" || r.code == "403" || r.code == "421"
	if len(r.code) != 3 || strings.Trim(r.code, "0123456789") != "" {
		o.status = ""
	}
	return o
}

// outcomeOfGRPC goes by what the gRPC specification has servers say (doc/statuscodes.md).
// Those that tell of the request, such as NOT_FOUND, are no errors, as 4xx are none. Of
// an Envoy's own answers 403 becomes 7, 401 becomes 16, and 421 becomes 2, as what has no
// number of its own does.
func outcomeOfGRPC(status, reason string) outcome {
	switch status {
	case "", "-", "0", "1", "3", "5", "6", "9", "10", "11":
		return outcome{status: "200"}
	case "7", "16":
		return outcome{status: mesh.FailureGRPC + status, denied: true}
	case "4", "8", "12", "13", "14", "15":
		return outcome{status: mesh.FailureGRPC + status, failed: true}
	}
	refused := reason == reasonTCP
	return outcome{status: mesh.FailureGRPC + "2", failed: !refused, denied: refused} // UNKNOWN, as what nobody knows is
}
