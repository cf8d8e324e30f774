package insight

import (
	"fmt"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// overGRPC says, of a service that speaks gRPC, what its clients see in place of the
// HTTP status of a proxy: that is 200 for them, and their status in words of gRPC.
// The codes are those of Envoy.
func (i *inquiry) overGRPC(a *mesh.ExplainedAnswer) {
	if i.callee == nil || i.callee.Protocol != mesh.GRPC || a.Status < 400 {
		return
	}
	code, name := 2, "UNKNOWN"
	switch a.Status {
	case 400:
		code, name = 13, "INTERNAL"
	case 401:
		code, name = 16, "UNAUTHENTICATED"
	case 403:
		code, name = 7, "PERMISSION_DENIED"
	case 404:
		code, name = 12, "UNIMPLEMENTED"
	case 429, 502, 503, 504:
		code, name = 14, "UNAVAILABLE"
	}
	if a.Text != "" {
		a.Text += "; "
	}
	a.Text += fmt.Sprintf("a gRPC client sees grpc-status %d (%s)", code, name)
}
