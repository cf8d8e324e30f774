package shop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// callTimeout bounds one call to another service; it is longer than what the
	// mesh allows, so that the mesh's own answer is seen.
	callTimeout = 20 * time.Second
	// stopTimeout bounds how long an app that is told to end finishes requests.
	stopTimeout = 5 * time.Second
)

// Identity is who an app says it is.
type Identity struct {
	Service  string
	Instance string
	Version  string // the label of its subset, if it has one
}

// Sidecar is where an app makes its calls.
type Sidecar struct {
	HTTP string            // host:port for HTTP and gRPC, whichever service is called
	TCP  map[string]string // host:port for each TCP service
}

// App is one copy of a sample application.
type App struct {
	id     Identity
	served atomic.Int64
	last   atomic.Int64 // when the last request came, in Unix nanoseconds
	token  atomic.Value // string: of the last request
	serve  func(context.Context, net.Listener) error
}

// Serve takes requests on l until ctx ends, then finishes those under way. It
// closes l, and returns nil or the reason why it could not go on. Once only.
func (a *App) Serve(ctx context.Context, l net.Listener) error {
	if err := a.serve(ctx, l); err != nil {
		return fmt.Errorf("sample app %s: %w", a.id.Instance, err)
	}
	return nil
}

// Served is how many requests have come so far.
func (a *App) Served() int64 { return a.served.Load() }

// LastServed is when the last request came; the zero time if none has.
func (a *App) LastServed() time.Time {
	if last := a.last.Load(); last != 0 {
		return time.Unix(0, last)
	}
	return time.Time{}
}

// Token is the mesh's token of the last request that had one; "" if none has.
func (a *App) Token() string {
	token, _ := a.token.Load().(string)
	return token
}

// count counts a request with its token, "" if it has none.
func (a *App) count(token string) {
	a.served.Add(1)
	a.last.Store(time.Now().UnixNano())
	if token != "" {
		a.token.Store(token)
	}
}

// New makes a copy of the sample application named by id.Service. It does
// nothing until Serve.
func New(id Identity, sidecar Sidecar) (*App, error) {
	a := &App{id: id}
	switch id.Service {
	case Web:
		a.serve = a.web(sidecar)
	case Orders:
		a.serve = a.orders(sidecar)
	case Payments:
		a.serve = a.payments(sidecar)
	case Ledger:
		a.serve = a.ledger
	case Stock:
		a.serve = a.stock
	case Reviews:
		a.serve = a.reviews
	default:
		return nil, fmt.Errorf("there is no sample application %q", id.Service)
	}
	return a, nil
}

// serveHTTP serves until ctx ends. Every request is counted.
func (a *App) serveHTTP(ctx context.Context, l net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a.count(r.Header.Get(TokenHeader))
			handler.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: 10 * time.Second,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	// ctx has ended; the requests under way get some time of their own.
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		_ = server.Close()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
