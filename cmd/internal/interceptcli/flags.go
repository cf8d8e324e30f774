package interceptcli

import (
	"context"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/intercept"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// Flags are those of a proxy to which the application's connections
// are redirected.
type Flags struct {
	Intercept        bool   `of:"envoy" at:"service" help:"The application's connections are redirected to Envoy (heddle intercept): it calls http://orders.mesh, and needs no addresses of the sidecar."`
	InterceptPort    int    `of:"envoy" at:"service" placeholder:"PORT" help:"Where they come in, on loopback. Default: 15002."`
	InterceptOutside string `of:"envoy" at:"service" enum:"pass,deny" default:"pass" placeholder:"WAY" help:"What becomes of connections to the outside: pass (they go on as they were meant) or deny."`
}

// Redirected is what the control plane is told of it; nil without --intercept.
func (f *Flags) Redirected() (*mesh.Intercept, error) {
	if !f.Intercept {
		if f.InterceptPort != 0 || f.InterceptOutside == string(mesh.DenyOutside) {
			return nil, &cli.UsageError{Message: "--intercept-port and --intercept-outside need --intercept"}
		}
		return nil, nil //nolint:nilnil // none is no error
	}
	outside := mesh.OutsidePolicy(f.InterceptOutside)
	if outside == mesh.PassOutside {
		outside = ""
	}
	return &mesh.Intercept{Port: mesh.Port(f.InterceptPort), Outside: outside, IPv6: proxy.HasIPv6()}, nil
}

// ModeFlags say how calls to the application beside a proxy come to it.
type ModeFlags struct {
	InterceptMode string `of:"envoy" at:"service" enum:"redirect,tproxy" default:"redirect" placeholder:"MODE" help:"With --intercept: how calls to the application come in, as heddle intercept install --mode says it. tproxy: the application sees its callers' addresses; needs CAP_NET_ADMIN."`
}

// Apply adds them to what the control plane is told; nil without --intercept.
func (f *ModeFlags) Apply(to *mesh.Intercept) error {
	if f.InterceptMode != string(mesh.TProxyMode) {
		return nil
	}
	if to == nil {
		return &cli.UsageError{Message: "--intercept-mode needs --intercept"}
	}
	to.Mode = mesh.TProxyMode
	return nil
}

// AnswersComeBack refuses an application's port that the rules of this machine leave out.
func (f *ModeFlags) AnswersComeBack(ctx context.Context, app mesh.Port) error {
	if f.InterceptMode != string(mesh.TProxyMode) || app == 0 {
		return nil
	}
	return cli.WrongFlags(intercept.AnswersComeBack(ctx, app))
}
