package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/heddle-mesh/heddle/internal/demo/shop"
)

// outside is a server that is no part of the mesh.
type outside struct {
	name   string
	port   int
	server *http.Server
	ended  chan error
}

// openOutside starts a server that answers every request with its name.
func openOutside(service, name string) (*outside, error) {
	l, err := listen(0)
	if err != nil {
		return nil, fmt.Errorf("start the server outside the mesh: %w", err)
	}
	o := &outside{name: name, port: l.Addr().(*net.TCPAddr).Port, ended: make(chan error, 1)}
	o.server = &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(shop.Answer{Service: service, Instance: name}) // fails only when the caller is gone
		}),
	}
	go func() { o.ended <- o.server.Serve(l) }() // ends with close
	return o, nil
}

// close ends the server, whose requests have been answered by now.
func (o *outside) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := o.server.Shutdown(ctx); err != nil {
		_ = o.server.Close()
	}
	<-o.ended //nolint:errcheck // http.ErrServerClosed; had it ended before, a check has said so
}
