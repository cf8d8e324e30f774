package webhook

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"
)

// NewServer makes the HTTPS server for the webhook and the attestation, with
// bounds on what a client may take. The caller runs it:
// ServeTLS(listener, "", "").
func NewServer(handler http.Handler, certificates *tls.Config, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, TLSConfig: certificates,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug), // a failed handshake may be anybody's
	}
}
