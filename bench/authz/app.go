package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// appCommand makes this program the application behind sidecars.
const appCommand = "serve-app"

// serveApp answers with the token that it was sent on /token, and elsewhere with
// 200 bytes. It serves until ctx ends, and prints its address first.
func serveApp(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	answer := make([]byte, 200)
	for i := range answer {
		answer[i] = 'a'
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(answer) })
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Header.Get("x-heddle-token")) })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if _, err := fmt.Println(listener.Addr()); err != nil {
		return err
	}
	return server.Serve(listener)
}
