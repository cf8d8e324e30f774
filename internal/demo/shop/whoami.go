package shop

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/http"
)

// Whoami makes an application of any name that answers who it is: to each HTTP request,
// or, over plain TCP, to each line.
func Whoami(id Identity, tcp bool) *App {
	a := &App{id: id}
	a.serve = func(ctx context.Context, l net.Listener) error {
		return a.serveHTTP(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.finish(w, r, "", nil) }))
	}
	if tcp {
		a.serve = func(ctx context.Context, l net.Listener) error { return serveTCP(ctx, l, a.introduce) }
	}
	return a
}

// introduce answers the lines of one connection until it ends.
func (a *App) introduce(conn net.Conn) {
	lines, encoder := bufio.NewScanner(conn), json.NewEncoder(conn)
	for lines.Scan() {
		a.count("")
		if encoder.Encode(a.answer("")) != nil {
			return
		}
	}
}
