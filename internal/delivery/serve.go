package delivery

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	secretv3 "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

const (
	// askEvery is how soon a token that is not good any more is replaced: one whose key
	// was revoked, or whose callee does not want the caller any more. The AuthZ service has
	// the answer in its cache.
	askEvery = 2 * time.Second
	// askAgain is the pause after a question without an answer.
	askAgain = 200 * time.Millisecond
)

// Ask gets the token for a callee; "" is none, for a refusal, and for a callee whose
// owner lets calls pass without.
type Ask func(ctx context.Context, callee mesh.ServiceName) (string, error)

// Listen makes the Unix socket, which whoever may use its folder can reach.
func Listen(ctx context.Context, path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // of an earlier run
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: fmt.Sprintf("make the socket %s for tokens: use a folder of your own with a path of less than 95 bytes for the identity", path), Err: err}
	}
	return listener, nil
}

// Serve serves tokens until ctx ends.
func Serve(ctx context.Context, listener net.Listener, ask Ask, log *slog.Logger) error {
	server := grpc.NewServer()
	secretv3.RegisterSecretDiscoveryServiceServer(server, &service{ctx: ctx, ask: ask, log: log})
	stop := context.AfterFunc(ctx, server.Stop)
	defer stop()
	return server.Serve(listener)
}

type service struct {
	secretv3.UnimplementedSecretDiscoveryServiceServer
	ctx context.Context // the end of all streams
	ask Ask
	log *slog.Logger
}

// StreamSecrets sends one token and its successors: Envoy has a stream for each.
func (s *service) StreamSecrets(stream secretv3.SecretDiscoveryService_StreamSecretsServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if len(first.GetResourceNames()) != 1 {
		return status.Error(codes.InvalidArgument, "ask for one secret")
	}
	callee, is := mesh.TokenOf(first.GetResourceNames()[0])
	if !is {
		return status.Errorf(codes.NotFound, "there is no secret %+q here", first.GetResourceNames()[0])
	}
	ended := make(chan struct{})
	go func() { // what follows are acknowledgements; it ends with the stream
		defer close(ended)
		for {
			request, err := stream.Recv()
			if err != nil {
				return
			}
			if refused := request.GetErrorDetail(); refused != nil {
				s.log.Error("Envoy refused a token", "callee", callee, "error", refused.GetMessage())
			}
		}
	}()
	return s.follow(stream, callee, ended)
}

func (s *service) follow(stream secretv3.SecretDiscoveryService_StreamSecretsServer, callee mesh.ServiceName, ended <-chan struct{}) error {
	sent, held, failing := 0, "", false
	for {
		pause := askEvery
		token, err := s.ask(stream.Context(), callee)
		if err != nil {
			// The one that Envoy has goes on, as long as it lives. Envoy waits for the
			// first, and an empty one is none.
			token, pause = held, askAgain
		}
		if (err != nil) != failing && stream.Context().Err() == nil { // once for each outage
			failing = err != nil
			if failing {
				s.log.Warn("no AuthZ service gives a token; trying again and again", "callee", callee, "error", err)
			} else {
				s.log.Info("tokens are given again", "callee", callee)
			}
		}
		if token != held || sent == 0 {
			sent++
			if err := stream.Send(response(callee, token, sent)); err != nil {
				return err
			}
			held = token
		}
		select {
		case <-time.After(pause):
		case <-ended:
			return nil
		case <-s.ctx.Done():
			return nil
		}
	}
}

func response(callee mesh.ServiceName, token string, n int) *discoveryv3.DiscoveryResponse {
	version := strconv.Itoa(n)
	secret, err := anypb.New(&tlsv3.Secret{
		Name: mesh.TokenSecret(callee),
		Type: &tlsv3.Secret_GenericSecret{GenericSecret: &tlsv3.GenericSecret{Secret: &corev3.DataSource{
			Specifier: &corev3.DataSource_InlineString{InlineString: token},
		}}},
	})
	if err != nil {
		panic("delivery: a token cannot be encoded: " + err.Error()) // it came as a string of an encoded message
	}
	return &discoveryv3.DiscoveryResponse{
		VersionInfo: version, Nonce: version, TypeUrl: secret.GetTypeUrl(), Resources: []*anypb.Any{secret},
	}
}
