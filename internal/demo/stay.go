package demo

import (
	"context"
	"fmt"

	"github.com/heddle-mesh/heddle/internal/demo/shop"
	"github.com/heddle-mesh/heddle/internal/present"
)

// stay tells the reader what there is to see, and waits for the end of ctx.
func (t *town) stay(ctx context.Context) error {
	if err := t.show(); err != nil {
		return err
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

const picture = `
            ┌───────┐ HTTP ┌────────┐ HTTP ┌──────────┐ TCP ┌────────┐
  you ────▶ │  web  │ ───▶ │ orders │ ───▶ │ payments │ ──▶ │ ledger │
            └───┬───┘      └───┬────┘      └──────────┘     └────────┘
                ┊              │ gRPC      ┌──────────┐
                ┊              └─────────▶ │  stock   │     Each instance has an Envoy of its
                ┊                          └──────────┘     own, which takes and makes its calls.
                ┊ not declared             ┌──────────┐
                └┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄▶ │ reviews  │
                                           └──────────┘

`

// show draws the mesh and says how to use it.
func (t *town) show() error {
	out := t.config.Out
	fmt.Fprint(out, picture)
	table := present.NewTable(present.Palette{}, "INSTANCE", "TAKES CALLS AT", "ITS APP CALLS OTHERS BY")
	table.Indent = "  "
	for _, i := range t.instances {
		table.Add(present.Text(i.id, address(i.inbound), address(i.outbound))...)
	}
	if err := table.Write(out); err != nil {
		return err
	}
	web := t.fronts[0]
	_, err := fmt.Fprintf(out, `
Send a request; the answer tells its way through the mesh:
  curl -s %[1]s

Call what web has not declared, and read why it may not:
  curl -s %[2]s

Look, from another terminal:
  export HEDDLE_SERVER=%[3]s HEDDLE_TOKEN_FILE=%[4]s
  %[5]s status
  %[5]s get services
  %[5]s get instances

Declare that web calls reviews, and call it again:
  %[5]s get service web -o yaml | sed 's/- orders/- orders\n  - reviews/' | %[5]s apply -f -

The REST API and its description: %[3]s/docs   the gRPC API and xDS: %[6]s   logs: %[7]s
This is a demo: the traffic between the sidecars is NOT ENCRYPTED yet. Nothing listens beyond this machine.

Ctrl-C stops everything.
`, web.url("/checkout"), web.url("/call/"+shop.Reviews), t.plane.url(), t.plane.tokenFile, t.config.Heddle, t.plane.xds, t.folder)
	return err
}
