package grpcapi

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

const (
	maxRequest   = 1 << 20 // bytes of a write, as in the REST API
	maxRequestID = 128     // bytes
	maxUnknown   = 100     // faults for unknown fields, of which a hostile message has many
)

// inspect reports everything wrong with a write's message at once: found, which
// its reader found already, and what concerns the message itself.
func inspect(v *view, message proto.Message, requestID string, revision int64, found mesh.Faults) error {
	if len(requestID) > maxRequestID {
		found.Add("request_id", "has %d bytes; at most %d are allowed", len(requestID), maxRequestID)
	}
	if revision < 0 {
		found.Add("revision", "is negative: send the revision that was read, or 0")
	}
	findUnknown(message.ProtoReflect(), "", &found)
	return mesh.Invalid("the "+v.noun+" cannot be written", found)
}

// findUnknown reports fields that this server does not know. To pass over them
// would be to promise what is not kept: the caller may be newer than the server.
func findUnknown(message protoreflect.Message, path string, found *mesh.Faults) {
	for raw := message.GetUnknown(); len(raw) > 0 && len(*found) < maxUnknown; {
		number, _, n := protowire.ConsumeField(raw)
		if n < 0 {
			break
		}
		found.Add(path, "%s has no field %d on this server, which may be older than its caller", message.Descriptor().FullName(), number)
		raw = raw[n:]
	}
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		at := string(field.Name())
		if path != "" {
			at = path + "." + at
		}
		switch {
		case field.IsMap() || field.Message() == nil: // the API's maps hold strings
		case field.IsList():
			for i := range value.List().Len() {
				findUnknown(value.List().Get(i).Message(), fmt.Sprintf("%s[%d]", at, i), found)
			}
		default:
			findUnknown(value.Message(), at, found)
		}
		return true
	})
}
