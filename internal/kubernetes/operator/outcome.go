package operator

import (
	"errors"
	"time"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// outcome is how writing an object went.
type outcome struct {
	revision int64 // in the registry; 0: it is not there
	reason   string
	message  string
	unknown  bool // it may be accepted yet; it is tried again with growing pauses
	again    time.Duration
}

// refused says for the object's status why it is not in the registry.
func refused(err error) outcome {
	out := outcome{message: err.Error(), again: pause(time.Minute)}
	switch mesh.KindOf(err) {
	case mesh.KindInvalid:
		out.reason = "Invalid"
	case mesh.KindConflict:
		out.reason = "Conflict"
		if reason := mesh.ReasonOf(err); reason == mesh.ReasonTaken || reason == mesh.ReasonKept {
			out.reason = "NameTaken"
		}
	case mesh.KindDenied:
		out.reason = "Denied"
		if mesh.ReasonOf(err) == client.ReasonToken { // as if the server were away: the token may be replaced any time
			out.reason, out.unknown, out.message = "TokenUnknown", true, "the registry does not know the operator's access token"
		}
	default:
		out.reason, out.unknown, out.message = "ServerUnreachable", true, lasting(err)
	}
	return out
}

// lasting is what an error of a server that is away says without its cause, whose
// ports are others at each try.
func lasting(err error) string {
	var told *mesh.Error
	if mesh.KindOf(err) == mesh.KindUnavailable && errors.As(err, &told) {
		return told.Message
	}
	return err.Error()
}
