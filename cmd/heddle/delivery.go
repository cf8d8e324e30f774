package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/heddle-mesh/heddle/internal/delivery"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/workload"
)

// deliveryFlags say how Envoy gets the tokens for its calls.
type deliveryFlags struct {
	TokenDelivery string `of:"envoy" at:"service" enum:"ask,push" default:"ask" placeholder:"WAY" help:"How Envoy gets the tokens for its calls: ask (it asks the AuthZ service about each request) or push (it is handed them beforehand; needs --identity-dir)."`
}

// pushes says whether tokens are handed over.
func (f *deliveryFlags) pushes() bool { return f.TokenDelivery == string(mesh.PushTokens) }

// delivery is left out when it is the default.
func (f *deliveryFlags) delivery() mesh.TokenDelivery {
	if f.pushes() {
		return mesh.PushTokens
	}
	return ""
}

// deliverTokens hands tokens to the Envoy of an identity until stop is called. The
// AuthZ services are those that the server knows.
func deliverTokens(ctx context.Context, own *workload.Identity, server, token string, log *slog.Logger) (stop func(), err error) {
	api, err := overTLS(server, token, own.Transport())
	if err != nil {
		return nil, err
	}
	socket, err := delivery.Listen(ctx, filepath.Join(own.Files().Dir, mesh.TokenSocket))
	if err != nil {
		api.Close()
		return nil, err
	}
	asker := &delivery.Asker{Authorizers: api.Authorizers, TLS: own.AuthorizerTLS(), Logger: log}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // Envoy calls others until it has drained
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := delivery.Serve(ctx, socket, asker.Ask, log); err != nil {
			log.Error("tokens are not handed to Envoy any more", "error", err)
		}
	})
	return func() {
		cancel()
		serving.Wait()
		asker.Close()
		api.Close()
	}, nil
}
