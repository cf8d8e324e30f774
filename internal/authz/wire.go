package authz

import (
	"context"
	"time"
	"unicode/utf8"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

// The numbers of the fields that are read; TestDecodeAgreesWithProto proves that
// the generated types have them.
const (
	fieldAttributes protowire.Number = 1  // CheckRequest.attributes
	fieldSource     protowire.Number = 1  // AttributeContext.source
	fieldRequest    protowire.Number = 4  // AttributeContext.request
	fieldHTTP       protowire.Number = 2  // Request.http
	fieldHeaders    protowire.Number = 3  // HttpRequest.headers
	fieldExtensions protowire.Number = 10 // AttributeContext.context_extensions
	fieldPrincipal  protowire.Number = 4  // Peer.principal
	fieldMapKey     protowire.Number = 1
	fieldMapValue   protowire.Number = 2
)

// The context extensions that a route sets.
const (
	extensionCallee   = "callee"   // the service that is called
	extensionMirror   = "mirror"   // the service that is sent a copy
	extensionCaller   = "caller"   // SPIFFE ID of the caller, believed only on plain connections
	extensionProvider = "provider" // who proves who is behind a request at the edge
	extensionAudience = "audience" // the application that a token of theirs has to be for
)

// check is what is read of a CheckRequest. Envoy sends the request's headers
// too; unless there is a provider they are skipped without being decoded.
type check struct {
	principal, callee, mirror, caller string

	visit Visit
}

// decode reads a request as the generated code would: what comes later wins.
func (c *check) decode(data []byte) bool {
	return c.decodeAttributes(data) && (c.visit.Provider == "" || c.decodeHeaders(data))
}

func (c *check) decodeAttributes(data []byte) bool {
	return eachField(data, func(number protowire.Number, attributes []byte) bool {
		return number != fieldAttributes || eachField(attributes, func(number protowire.Number, value []byte) bool {
			switch number {
			case fieldSource:
				return eachField(value, func(number protowire.Number, value []byte) bool {
					if number == fieldPrincipal {
						c.principal = string(value)
						return utf8.Valid(value)
					}
					return true
				})
			case fieldExtensions:
				return c.decodeExtension(value)
			}
			return true
		})
	})
}

func (c *check) decodeExtension(entry []byte) bool {
	name, value, ok := mapEntry(entry)
	switch string(name) {
	case extensionCallee:
		c.callee = string(value)
	case extensionMirror:
		c.mirror = string(value)
	case extensionCaller:
		c.caller = string(value)
	case extensionProvider:
		c.visit.Provider = string(value)
	case extensionAudience:
		c.visit.Audience = string(value)
	default:
		return ok
	}
	return ok && utf8.Valid(value)
}

// decodeHeaders reads those that may prove who sends a request. Envoy gives the
// names in lower case.
func (c *check) decodeHeaders(data []byte) bool {
	down := []protowire.Number{fieldAttributes, fieldRequest, fieldHTTP, fieldHeaders}
	var into func(data []byte, depth int) bool
	into = func(data []byte, depth int) bool {
		if depth == len(down) {
			return c.decodeHeader(data)
		}
		return eachField(data, func(number protowire.Number, value []byte) bool {
			return number != down[depth] || into(value, depth+1)
		})
	}
	return into(data, 0)
}

func (c *check) decodeHeader(entry []byte) bool {
	name, value, ok := mapEntry(entry)
	switch string(name) {
	case "cf-access-jwt-assertion":
		c.visit.Assertion = string(value)
	case "cookie":
		c.visit.Cookie = string(value)
	case "authorization":
		c.visit.Authorization = string(value)
	default:
		return ok
	}
	return ok && utf8.Valid(value)
}

func mapEntry(entry []byte) (name, value []byte, ok bool) {
	ok = eachField(entry, func(number protowire.Number, v []byte) bool {
		switch number {
		case fieldMapKey:
			name = v
		case fieldMapValue:
			value = v
		}
		return true
	})
	return name, value, ok
}

// eachField goes through the fields of a message that hold bytes, and says
// whether it could be read to its end.
func eachField(data []byte, take func(protowire.Number, []byte) bool) bool {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return false
		}
		data = data[n:]
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, data); n < 0 {
				return false
			}
			data = data[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(data)
		if n < 0 || !take(number, value) {
			return false
		}
		data = data[n:]
	}
	return true
}

// codec reads requests and sends responses of this package as they are, and
// leaves all else to gRPC's own codec.
type codec struct{ encoding.CodecV2 }

// Marshal implements [encoding.CodecV2].
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if r, is := v.(*response); is {
		return r.buffers, nil
	}
	return c.CodecV2.Marshal(v)
}

// Unmarshal implements [encoding.CodecV2].
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	request, is := v.(*check)
	if !is {
		return c.CodecV2.Unmarshal(data, v)
	}
	whole := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer whole.Free()
	if !request.decode(whole.ReadOnlyData()) {
		return status.Error(codes.InvalidArgument, "this is not a CheckRequest")
	}
	return nil
}

// ServerOptions are what a gRPC server needs to serve [Service].
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(codec{encoding.GetCodecV2(protocodec.Name)}),
		grpc.MaxRecvMsgSize(1 << 20), // of a request's headers, of which Envoy takes 60 KiB
	}
}

// ConnectionLife is how long a caller's connection is served. Then its Envoy is
// asked to make another, for which it shows the certificate that it has by then: so
// one that has expired is asked with for that much longer at most.
const ConnectionLife = 10 * time.Minute

// Connections bounds how long a caller's connection is served, and finds those that
// are dead. Requests under way are answered.
func Connections(life time.Duration) grpc.ServerOption {
	return grpc.KeepaliveParams(keepalive.ServerParameters{
		Time: 30 * time.Second, Timeout: 10 * time.Second,
		MaxConnectionAge: life, MaxConnectionAgeGrace: 10 * time.Second,
	})
}

// description is the generated one with our own messages.
func description() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: authv3.Authorization_ServiceDesc.ServiceName,
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "Check",
			Handler: func(server any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				var request check
				if err := decode(&request); err != nil {
					return nil, err
				}
				return server.(*Service).timed(ctx, &request)
			},
		}},
		Metadata: authv3.Authorization_ServiceDesc.Metadata,
	}
}
