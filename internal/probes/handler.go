package probes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"golang.org/x/sync/singleflight"
)

// Handler answers a kubelet. Ready says why the sidecar cannot serve, nil if it can.
type Handler struct {
	Ready   func() error
	Probes  map[string]Probe // by CONTAINER/KIND
	Address string           // where the applications listen
	Logger  *slog.Logger     // nil: none

	running singleflight.Group // whoever asks meanwhile, anybody in the cluster can, gets the same answer
}

// errFailed is all that callers are told: what an application says may be for its
// owner only.
var errFailed = errors.New("the application's probe failed: heddle proxy --log-level debug says why")

// ServeHTTP answers one question.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) { tell(w, h.Ready()) })
	mux.HandleFunc("GET /probe/{container}/{kind}", h.probe)
	mux.ServeHTTP(w, r)
}

func (h *Handler) probe(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("container") + "/" + r.PathValue("kind")
	probe, known := h.Probes[name]
	if !known {
		http.Error(w, fmt.Sprintf("no probe of the name %q was given to this sidecar", name), http.StatusNotFound)
		return
	}
	pod := reached(r)
	ctx := context.WithoutCancel(r.Context()) // others wait for it too: it ends by its own timeout
	_, err, _ := h.running.Do(name+" "+pod, func() (any, error) {
		return nil, probe.make(ctx, h.Address, pod)
	})
	if err != nil {
		if h.Logger != nil {
			h.Logger.Debug("a probe of the application failed", "probe", name, "error", err)
		}
		err = errFailed
	}
	tell(w, err)
}

// reached is the pod's address by which it was called, as the kubelet knows it. The
// Host header would be the caller's choice.
func reached(r *http.Request) string {
	if at, is := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); is {
		return at.IP.String()
	}
	return ""
}

func tell(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}
