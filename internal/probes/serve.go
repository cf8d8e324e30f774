package probes

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/heddle-mesh/heddle/internal/fair"
)

const (
	// mostConnections are answered at a time, for anybody in the cluster may ask. Each
	// asks once, as a kubelet does. For each of an address othersHave are left, so that
	// no pod keeps the kubelet waiting: one alone has a sixteenth.
	mostConnections = 512
	othersHave      = 15
	// readTimeout is for a whole request, and answerTimeout for an answer beside the
	// time that its probe may take.
	readTimeout   = 5 * time.Second
	answerTimeout = 10 * time.Second
)

// Serve answers on a listener until ctx ends.
func (h *Handler) Serve(ctx context.Context, listener net.Listener) error {
	longest := time.Duration(0)
	for _, one := range h.Probes {
		longest = max(longest, one.timeout())
	}
	server := &http.Server{
		Handler:     h,
		ReadTimeout: readTimeout, WriteTimeout: answerTimeout + longest, MaxHeaderBytes: 16 << 10,
	}
	server.SetKeepAlivesEnabled(false)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(fair.Listen(listener, fair.New(mostConnections, othersHave))) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	server.Close()
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
