package identity

import (
	"context"
	"net"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// answerTime is how long the last answer on a connection may take to go out.
const answerTime = time.Second

// connection is what is known of a gRPC connection.
type connection struct {
	credentials.TLSInfo
	raw net.Conn
}

// serverCredentials remember each connection, so that it can be ended.
type serverCredentials struct {
	credentials.TransportCredentials
}

// Credentials are [Authority.ServerTLS] for gRPC.
func (a *Authority) Credentials() credentials.TransportCredentials {
	return serverCredentials{credentials.NewTLS(a.ServerTLS("h2"))}
}

// ServerHandshake implements [credentials.TransportCredentials].
func (c serverCredentials) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	over, _ := info.(credentials.TLSInfo)
	return conn, connection{over, conn}, nil
}

// Clone implements [credentials.TransportCredentials].
func (c serverCredentials) Clone() credentials.TransportCredentials {
	return serverCredentials{c.TransportCredentials.Clone()}
}

// End ends the connection of a call soon after it was answered, if its client has
// shown a certificate. One whose certificate is not good any more has to come again:
// the next stream on the same connection would prove the same one, though its client
// may have a new one.
func End(ctx context.Context) {
	caller, ok := peer.FromContext(ctx)
	if !ok {
		return
	}
	if c, ok := caller.AuthInfo.(connection); ok && len(c.State.PeerCertificates) > 0 {
		time.AfterFunc(answerTime, func() { _ = c.raw.Close() })
	}
}
