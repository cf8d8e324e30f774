package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/manifest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// importCmd proposes declarations from what was attempted.
type importCmd struct {
	Service string        `placeholder:"NAME" complete:"services" help:"Only from what is about this caller or callee."`
	Since   time.Duration `default:"168h" placeholder:"TIME" help:"How long ago attempts count."`
}

// Help shows examples below the flags.
func (importCmd) Help() string {
	return `Writes YAML for heddle apply: the declarations of callers with the dependencies that they lack, and upstreams for outside hosts that they asked for. Comments say what each follows from. Nothing is changed: read it, and have the owners agree.

Examples:

  heddle import > proposed.yaml
  heddle import --service web --since 24h`
}

// Run prints the proposals.
func (c *importCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	if c.Since <= 0 {
		return &cli.UsageError{Message: fmt.Sprintf("--since %s: a time is more than nothing", c.Since)}
	}
	drift, err := api.Drift(ctx, client.DriftQuery{Service: c.Service, Since: c.Since})
	if err != nil {
		return err
	}
	stored, err := api.Services(ctx)
	if err != nil {
		return err
	}
	services := make([]mesh.Service, len(stored))
	for i := range stored {
		services[i] = stored[i].Service
	}
	proposals := insight.Propose(services, drift)
	if len(proposals) == 0 {
		fmt.Fprintln(con.Err, "nothing to propose: no undeclared call was attempted lately that a declaration would allow")
		return nil
	}
	var out bytes.Buffer
	for _, one := range proposals {
		out.WriteString("---\n")
		for _, why := range one.Why {
			out.WriteString("# " + strings.ReplaceAll(present.Safe(why), "\n", " ") + "\n")
		}
		if err := manifest.YAML(&out, []manifest.Object{manifest.Of(one.Service)}); err != nil {
			return err
		}
	}
	_, err = con.Out.Write(out.Bytes())
	return err
}
