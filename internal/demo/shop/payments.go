package shop

import (
	"context"
	"net"
	"net/http"
)

// payments books each payment with ledger, over TCP.
func (a *App) payments(sidecar Sidecar) func(context.Context, net.Listener) error {
	books := newLedgerClient(sidecar.TCP[Ledger])
	mux := http.NewServeMux()
	mux.HandleFunc("GET /payments", func(w http.ResponseWriter, r *http.Request) {
		booked, err := books.ask(r.Context())
		if err != nil {
			a.finish(w, r, "", err)
			return
		}
		a.finish(w, r, "paid", nil, booked)
	})
	return func(ctx context.Context, l net.Listener) error {
		defer books.close()
		return a.serveHTTP(ctx, l, mux)
	}
}
