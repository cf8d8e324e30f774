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
  you ──▶ gateway ──▶ │  web  │ ───▶ │ orders │ ───▶ │ payments │ ──▶ │ ledger │
  HTTPS,              └───┬───┘      └───┬────┘      └──────────┘     └────────┘
  a user's token          ┊              │ gRPC      ┌──────────┐
                          ┊              └─────────▶ │  stock   │
                          ┊                          └──────────┘
                          ┊ not declared             ┌──────────┐
                          └┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄▶ │ reviews  │
                                                     └──────────┘

Each instance has an Envoy of its own, which takes and makes its calls: by
mutual TLS, each request with a token that says who calls.

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
	g := t.gateway
	curl := "curl -sS --cacert " + g.files.certificate + " "
	_, err := fmt.Fprintf(out, `
Look at it in a browser: who calls whom, why a call arrives or not, what each
Envoy has. To change something there, sign in with the token in
%[4]s:
  %[3]s/ui/

Send a request as %[8]s; the answer tells its way, and at each stop
who called, by the token there:
  %[9]s-H @%[10]s %[1]s

The same without a user's token is refused at the gateway:
  %[9]s-i %[1]s

Call what web has not declared, and read why it may not:
  %[9]s-H @%[10]s %[2]s

Go around the sidecars: the port of %[11]s takes nothing but mutual TLS:
  curl -sS http://%[12]s/orders

Look from another terminal:
  export HEDDLE_SERVER=%[3]s HEDDLE_TOKEN_FILE=%[4]s
  %[5]s status
  %[5]s get services
  %[5]s get instances
  %[5]s get routes
  %[5]s explain web orders

Declare that web calls reviews, and call it again:
  %[5]s get service web -o yaml | sed 's/- orders/- orders\n  - reviews/' | %[5]s apply -f -

The user's token is in %[10]s.
Cloudflare Access would give it to a user who has logged in; here an issuer inside
the demo stands in for it, whose public keys the AuthZ services fetch, as
%[13]s says.
REST API and its description: %[3]s/docs
gRPC API: %[6]s   logs: %[7]s
Nothing listens beyond this machine.

Ctrl-C stops everything.
`, g.url("/checkout"), g.url("/call/"+shop.Reviews), t.plane.url(), t.plane.tokenFile, t.config.Heddle, t.plane.xds, t.folder,
		user, curl, g.user, t.instances[2].id, address(t.instances[2].inbound), t.issuer.config)
	return err
}
