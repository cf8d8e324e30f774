package delivery_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	secretv3 "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/heddle-mesh/heddle/internal/delivery"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// secrets serves tokens on a socket, of which there is one of an earlier run, and
// gives a client of it. end stops serving.
func secrets(t *testing.T, ask delivery.Ask, log *slog.Logger) (client secretv3.SecretDiscoveryServiceClient, end func()) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "socket")
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := delivery.Listen(ctx, path); err != nil { // killed without a word
		t.Fatal(err)
	}
	listener, err := delivery.Listen(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- delivery.Serve(ctx, listener, ask, log) }()
	conn, err := grpc.NewClient("unix://"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return secretv3.NewSecretDiscoveryServiceClient(conn), func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serving ended with %v", err)
		}
	}
}

// TestTokensAreServedThroughAnOutage: an outage is told once, however often it is
// tried again, and the token comes when it is over.
func TestTokensAreServedThroughAnOutage(t *testing.T) {
	var log bytes.Buffer // read when all has ended
	asked := 0           // by one stream
	client, end := secrets(t, func(context.Context, mesh.ServiceName) (string, error) {
		if asked++; asked <= 3 {
			return "", errors.New("nobody there")
		}
		return "a.b.c", nil
	}, slog.New(slog.NewTextHandler(&log, nil)))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	stream, err := client.StreamSecrets(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&discoveryv3.DiscoveryRequest{ResourceNames: []string{mesh.TokenSecret("orders")}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"", "a.b.c"} {
		response, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		secret := &tlsv3.Secret{}
		if err := response.GetResources()[0].UnmarshalTo(secret); err != nil {
			t.Fatal(err)
		}
		if got := secret.GetGenericSecret().GetSecret().GetInlineString(); got != want || secret.GetName() != mesh.TokenSecret("orders") {
			t.Errorf("%s is %q, want %q", secret.GetName(), got, want)
		}
	}
	cancel()
	end()
	if n := strings.Count(log.String(), "no AuthZ service gives a token"); n != 1 || strings.Count(log.String(), "tokens are given again") != 1 {
		t.Errorf("the outage was told %d times:\n%s", n, log.String())
	}
}

func TestOnlyTokensAreServed(t *testing.T) {
	client, end := secrets(t, func(context.Context, mesh.ServiceName) (string, error) { return "a.b.c", nil }, slog.New(slog.DiscardHandler))
	defer end()
	for name, c := range map[string]struct {
		names []string
		want  codes.Code
	}{
		"nothing":         {nil, codes.InvalidArgument},
		"two":             {[]string{mesh.TokenSecret("a"), mesh.TokenSecret("b")}, codes.InvalidArgument},
		"the certificate": {[]string{mesh.IdentitySecret}, codes.NotFound},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		stream, err := client.StreamSecrets(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&discoveryv3.DiscoveryRequest{ResourceNames: c.names}); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); status.Code(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		cancel()
	}
}
