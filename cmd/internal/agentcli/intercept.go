package agentcli

import (
	"context"
	"log/slog"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/cmd/internal/interceptcli"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// interceptFlags are those of a host whose applications' connections are
// redirected to its proxy.
type interceptFlags struct {
	interceptcli.Flags
	interceptcli.DNSFlags

	redirected *mesh.Intercept // what the proxy says of itself; nil without --intercept
}

// takeConnections reads them, takes the port where queries are answered, and gives what
// answers them: nothing without --intercept.
func (f *interceptFlags) takeConnections(proxy string, listens bool, log *slog.Logger) (answers []func(context.Context) error, err error) {
	redirected, err := f.Redirected()
	switch {
	case err != nil || redirected == nil:
		return nil, err
	case proxy != "envoy":
		return nil, &cli.UsageError{Message: "--intercept needs --proxy envoy: redirected connections are Envoy's"}
	case listens:
		return nil, &cli.UsageError{Message: "a host that listens to the outside knows only what it exposes: --intercept and --listener exclude each other"}
	}
	f.redirected = redirected
	dns, err := f.ListenDNS(log)
	if err != nil || dns == nil {
		return nil, err
	}
	return append(answers, dns.Run), nil
}
