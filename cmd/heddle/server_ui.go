package main

import (
	"context"
	"net/http"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/insight"
	websession "github.com/heddle-mesh/heddle/internal/server/session"
	"github.com/heddle-mesh/heddle/internal/server/ui"
)

// pages makes the web pages. What they show of proxies and problems is what the
// API says of them.
func (n *serverNode) pages(c *serverCmd, observed func(context.Context) (insight.Observed, error)) (http.Handler, error) {
	provider, err := c.OIDC.provider(c.RequireReadToken)
	if err != nil {
		return nil, err
	}
	owners := func() map[string]bool { return n.catalog.View().Owners() }
	return ui.New(ui.Config{
		Registry: n.store, Catalog: n.catalog, Sessions: websession.New(websession.Config{Registry: n.store, OIDC: provider, Owners: owners, Logger: n.logger}),
		RequireReadToken: c.RequireReadToken, Version: cli.VersionLine(), Logger: n.logger,
		Mesh: n.mesh, Machines: n.machines, Turns: n.turns, Streams: n.proxies, ProxyConfig: n.proxyConfig,
		Observed: observed,
		Problems: func() []ui.Problem {
			var out []ui.Problem
			for _, one := range n.restAPI.Problems() {
				out = append(out, ui.Problem(one))
			}
			return out
		},
	})
}
