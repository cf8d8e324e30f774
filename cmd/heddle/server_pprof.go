package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
)

// serveProfiles serves Go's profiles on a loopback address until stop is called.
// Whoever reaches it can read what the server holds in memory, so no other
// address is taken.
func serveProfiles(ctx context.Context, address string) (stop func(), err error) {
	if !cli.OnLoopback(address) {
		return nil, cli.Usage("heddle", fmt.Errorf("--pprof %q: profiles show what is in memory, so only a loopback address is taken, such as 127.0.0.1:6060", address))
	}
	listener, err := cli.Listen(ctx, "--pprof", address)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener) // ends with stop
	}()
	return func() {
		_ = server.Close()
		<-ended
	}, nil
}
