package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/heddle-mesh/heddle/internal/fair"
)

const (
	// mostConnections are open at a time, for any pod of the cluster may open them. The
	// API server needs few, for it speaks HTTP/2, but begins with as many as it has calls
	// (600 at most by default) when it has none. For each connection of an address
	// othersHave are left: one alone has a fifth.
	mostConnections = 4096
	othersHave      = 4
	// mostIdle keeps the API server's connection while many pods are made, and no others for long.
	mostIdle = 30 * time.Second
	// mostEnding is how long calls that have begun may take once the server ends.
	mostEnding = 5 * time.Second
)

// NewServer makes the HTTPS server for the webhook and the attestation, with
// bounds on what a call may take. The caller runs it with [Serve].
func NewServer(handler http.Handler, certificates *tls.Config, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, TLSConfig: certificates,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: mostIdle, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug), // a failed handshake may be anybody's
	}
}

// Serve serves on a listener until ctx ends, and then what has begun. It bounds how many
// connections each address has.
func Serve(ctx context.Context, server *http.Server, listener net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := server.ServeTLS(fair.Listen(listener, fair.New(mostConnections, othersHave)), "", ""); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), mostEnding)
		defer cancel()
		if err := server.Shutdown(ending); !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		return server.Close() // of those that only hold their connections, and calls without an end
	})
	return group.Wait()
}
