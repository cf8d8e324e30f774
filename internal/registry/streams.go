package registry

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// streamEnder ends the streams of an etcd that stops. etcd itself waits for the
// clients to end them, five seconds long, which a watch never does.
type streamEnder struct {
	stopping context.Context //nolint:containedctx // it outlives every call
	end      context.CancelFunc
}

func newStreamEnder() *streamEnder {
	e := &streamEnder{}
	e.stopping, e.end = context.WithCancel(context.Background())
	return e
}

// intercept is a [grpc.StreamServerInterceptor]. Streams that it ends fail with
// Unavailable, as with an etcd that is gone: clients come again.
func (e *streamEnder) intercept(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	defer context.AfterFunc(e.stopping, cancel)()
	err := handler(server, endedStream{stream, ctx})
	if err != nil && e.stopping.Err() != nil {
		return status.Error(codes.Unavailable, "etcd is stopping")
	}
	return err
}

// endedStream is a stream with a context of its own.
type endedStream struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // a stream has one
}

// Context implements grpc.ServerStream.
func (s endedStream) Context() context.Context { return s.ctx }
