package shop

import (
	"context"
	"net"
	"net/http"
)

// web is the front: it calls orders for a checkout, and whatever is asked for
// under /call/, handing on the answer as it is.
func (a *App) web(sidecar Sidecar) func(context.Context, net.Listener) error {
	out := newCaller(sidecar.HTTP)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		a.finish(w, r, "try /checkout, /orders or /call/reviews", nil)
	})
	mux.HandleFunc("GET /checkout", func(w http.ResponseWriter, r *http.Request) {
		orders, err := out.ask(r.Context(), Orders, "/orders/checkout")
		if err != nil {
			a.finish(w, r, "", err)
			return
		}
		a.finish(w, r, "bought", nil, orders)
	})
	mux.HandleFunc("GET /orders", func(w http.ResponseWriter, r *http.Request) {
		orders, err := out.ask(r.Context(), Orders, "/orders")
		if err != nil {
			a.finish(w, r, "", err)
			return
		}
		a.finish(w, r, "", nil, orders)
	})
	mux.HandleFunc("GET /call/{service}", func(w http.ResponseWriter, r *http.Request) {
		got, err := out.get(r.Context(), r.PathValue("service"), "/")
		if err != nil {
			a.finish(w, r, "", err)
			return
		}
		for from, to := range map[string]string{"Content-Type": "Content-Type", "X-Heddle-Reason": ReasonHeader} {
			if value := got.header.Get(from); value != "" {
				w.Header().Set(to, value)
			}
		}
		w.WriteHeader(got.status)
		_, _ = w.Write(got.body) // fails only when the caller is gone
	})
	return func(ctx context.Context, l net.Listener) error {
		defer out.close()
		return a.serveHTTP(ctx, l, mux)
	}
}

// ReasonHeader is where web tells why its own sidecar answered instead of a
// service. It needs a name of its own: the sidecar before web takes
// X-Heddle-Reason off what applications answer.
const ReasonHeader = "X-Shop-Reason"

// reviews answers for itself.
func (a *App) reviews(ctx context.Context, l net.Listener) error {
	return a.serveHTTP(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.finish(w, r, "five stars", nil)
	}))
}
