package main

import (
	"log/slog"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/meshdns"
)

// agentInterceptFlags are those of a host whose applications' connections are
// redirected to its proxy.
type agentInterceptFlags struct {
	interceptFlags
	dnsFlags
}

// open gives what the proxy says of itself, and what answers queries; both nil without --intercept.
func (f *agentInterceptFlags) open(c *agentCmd, log *slog.Logger) (*mesh.Intercept, *meshdns.Server, error) {
	intercept, err := f.intercept()
	switch {
	case err != nil || intercept == nil:
		return nil, nil, err
	case c.Proxy != "envoy":
		return nil, nil, &usageError{message: "--intercept needs --proxy envoy: redirected connections are Envoy's"}
	case c.Listener:
		return nil, nil, &usageError{message: "a host that listens to the outside knows only what it exposes: --intercept and --listener exclude each other"}
	}
	dns, err := f.listenDNS(log)
	return intercept, dns, err
}
