package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// tokenCmd groups what is done with access tokens.
type tokenCmd struct {
	Create tokenCreateCmd `cmd:"" help:"Create a token and print its secret, once."`
	List   tokenListCmd   `cmd:"" help:"List the tokens, without their secrets."`
	Revoke tokenRevokeCmd `cmd:"" help:"End a token."`
}

// Help shows examples below the commands.
func (tokenCmd) Help() string {
	return "Example:\n\n  heddle token create --service orders > orders.token"
}

type tokenCreateCmd struct {
	Service       *string  `complete:"services" placeholder:"NAME" help:"The token may write this service and its instances only; left out, everything."`
	Owner         []string `sep:"none" placeholder:"NAME" help:"The token may write what this owner has: its services, their instances and tokens, and its routes. May be repeated: with both owners a service can be handed over."`
	Instances     *string  `complete:"services" placeholder:"NAME" help:"The token may write the instances of this service only, not its declaration: what heddle proxy beside it needs."`
	Keeper        *string  `placeholder:"KEEPER" help:"The token is a keeper's, such as kubernetes/CLUSTER: it may write what that keeper has, the whole sets of instances of its services, and join tokens of these for one use."`
	Vouch         []string `sep:"none" placeholder:"IDENTITY" help:"With --keeper: it makes join tokens of this too, gateway/NAME or heddle/authz. May be repeated."`
	VouchGateways bool     `help:"With --keeper of a whole Kubernetes cluster: it makes join tokens of the gateways that Gateways of the Gateway API are there."`
	Join          *string  `complete:"services" placeholder:"NAME" help:"Make a join token instead: workloads of this service get their first certificate with it, and nothing else."`
	JoinGateway   *string  `placeholder:"NAME" help:"The same for gateways of this name (heddle proxy --gateway)."`
	JoinAuthz     bool     `help:"The same for AuthZ services that run apart (heddle authz)."`
	Description   string   `placeholder:"TEXT" help:"What it is for." empty:"fine"`

	TTL  *time.Duration `name:"ttl" placeholder:"TIME" help:"Of a join token: how long it may be used, 1s to 168h. Default: 10m."`
	Uses *int           `placeholder:"N" help:"Of a join token: how many workloads may join with it, 1 to 1000. Default: 1."`
}

// Help shows examples below the flags.
func (tokenCreateCmd) Help() string {
	return `The secret is written to standard output and cannot be shown again; the rest goes to standard error.

Examples:

  heddle token create --service orders --description "orders' sidecars" > orders.token
  heddle token create --instances orders > orders.token
  heddle token create --keeper kubernetes/prod --description "operator" > operator.token
  heddle token create --keeper kubernetes/prod --vouch-gateways --vouch gateway/edge --vouch heddle/authz > operator.token
  heddle token create --owner team-shop --description "Ada" > ada.token
  heddle token create --description "Ada, on call"
  heddle token create --join orders > orders.join
  heddle token create --join orders --ttl 1h --uses 20 > orders.join
  heddle token create --join-gateway edge > edge.join`
}

type tokenListCmd struct {
	Output string `short:"o" enum:"table,json,yaml" default:"table" help:"table, json or yaml."`
}

// Help shows examples below the flags.
func (tokenListCmd) Help() string { return "Example:\n\n  heddle token list" }

type tokenRevokeCmd struct {
	ID string `arg:"" complete:"tokens" help:"The ID, as shown by heddle token list."`
}

// Help shows examples below the usage.
func (tokenRevokeCmd) Help() string { return "Example:\n\n  heddle token revoke 4f2a9c" }

// Run prints the secret alone on standard output, so that it can go into a file.
func (c *tokenCreateCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	if (len(c.Vouch) > 0 || c.VouchGateways) && c.Keeper == nil {
		return &cli.UsageError{Message: "--vouch and --vouch-gateways are of a keeper's token: they need --keeper"}
	}
	of, err := c.joining()
	if err != nil {
		return err
	}
	if of != (mesh.Identity{}) {
		return c.join(ctx, api, con, of)
	}
	if c.TTL != nil || c.Uses != nil {
		return &cli.UsageError{Message: "--ttl and --uses are of join tokens: they need --join SERVICE, --join-gateway NAME or --join-authz"}
	}
	if len(c.Owner) > 0 || c.Instances != nil || c.Keeper != nil {
		return c.limited(ctx, api, con)
	}
	service, err := cli.NotEmpty("--service", c.Service, "name a service, or leave it out for a token that may write everything")
	if err != nil {
		return err
	}
	token, secret, err := api.CreateToken(ctx, mesh.ServiceName(service), c.Description)
	if err != nil {
		return err
	}
	tellToken(con, token, secret)
	return nil
}

// tellToken prints a token: the secret alone goes to standard output.
func tellToken(con *cli.Console, token client.Token, secret string) {
	fmt.Fprintln(con.Out, secret)
	fmt.Fprintf(con.Err, "token %s may write %s; its secret is not shown again; end it with: heddle token revoke %s\n", token.ID, mayWrite(token), token.ID)
}

// limited prints a token for owners, for a keeper, or for the instances of a service.
func (c *tokenCreateCmd) limited(ctx context.Context, api *client.Client, con *cli.Console) error {
	limits := 0
	for _, given := range []bool{c.Service != nil, len(c.Owner) > 0, c.Instances != nil, c.Keeper != nil} {
		if given {
			limits++
		}
	}
	if limits > 1 {
		return &cli.UsageError{Message: "--owner, --instances, --keeper and --service contradict each other: a token has one of these limits"}
	}
	if c.Keeper != nil {
		keeper, err := cli.NotEmpty("--keeper", c.Keeper, "name the keeper, such as kubernetes/prod")
		if err != nil {
			return err
		}
		token, secret, err := api.CreateKeeperToken(ctx, mesh.Keeper(keeper), c.Description, client.Vouching{Identities: c.Vouch, Gateways: c.VouchGateways})
		if err == nil {
			tellToken(con, token, secret)
		}
		return err
	}
	if len(c.Owner) > 0 {
		token, secret, err := api.CreateOwnersToken(ctx, c.Owner, c.Description)
		if err == nil {
			tellToken(con, token, secret)
		}
		return err
	}
	service, err := cli.NotEmpty("--instances", c.Instances, "name the service")
	if err != nil {
		return err
	}
	token, secret, err := api.CreateInstancesToken(ctx, mesh.ServiceName(service), c.Description)
	if err == nil {
		tellToken(con, token, secret)
	}
	return err
}

// joining says who is to join with the token; nobody: it is none to join.
func (c *tokenCreateCmd) joining() (mesh.Identity, error) {
	var all []mesh.Identity
	for _, one := range []struct {
		kind mesh.IdentityKind
		flag string
		name *string
		hint string
	}{
		{mesh.ServiceIdentity, "--join", c.Join, "name the service whose workloads join"},
		{mesh.GatewayIdentity, "--join-gateway", c.JoinGateway, "name the gateways that join"},
	} {
		if one.name == nil {
			continue
		}
		name, err := cli.NotEmpty(one.flag, one.name, one.hint)
		if err != nil {
			return mesh.Identity{}, err
		}
		all = append(all, mesh.Identity{Kind: one.kind, Name: mesh.ServiceName(name)})
	}
	if c.JoinAuthz {
		all = append(all, mesh.Identity{Kind: mesh.AuthzIdentity})
	}
	switch {
	case len(all) == 0:
		return mesh.Identity{}, nil
	case len(all) > 1:
		return mesh.Identity{}, &cli.UsageError{Message: "--join, --join-gateway and --join-authz contradict each other: a join token is for one of them"}
	case c.Service != nil || c.Instances != nil || c.Keeper != nil || len(c.Owner) > 0:
		return mesh.Identity{}, &cli.UsageError{Message: "--join and --service, --instances, --keeper or --owner contradict each other: the one makes a join token, the others a token to write"}
	}
	return all[0], nil
}

// join prints a join token.
func (c *tokenCreateCmd) join(ctx context.Context, api *client.Client, con *cli.Console, of mesh.Identity) error {
	ttl, uses := registry.DefaultJoinTTL, 1
	if c.TTL != nil {
		ttl = *c.TTL
	}
	if c.Uses != nil {
		uses = *c.Uses
	}
	if ttl <= 0 || uses <= 0 { // 0 is the server's default, which nobody means who says 0
		return &cli.UsageError{Message: fmt.Sprintf("--ttl %s, --uses %d: both have to be more than nothing", ttl, uses)}
	}
	token, secret, err := api.CreateJoinToken(ctx, of, c.Description, ttl, uses)
	if err != nil {
		return err
	}
	fmt.Fprintln(con.Out, secret)
	fmt.Fprintf(con.Err, "join token %s: %d of %s may join with it until %s; it is not shown again; end it with: heddle token revoke %s\n",
		token.ID, token.Uses, of.Phrase(), token.ExpiresAt.Local().Format(time.RFC3339), token.ID)
	return nil
}

// mayWrite says in words what a token is for.
func mayWrite(token client.Token) string {
	switch {
	case token.Kind == "instances":
		return fmt.Sprintf("the instances of service %q", token.Service)
	case token.Kind == "keeper":
		text := fmt.Sprintf("what %s keeps", token.Keeper)
		if vouches := vouchesOf(token); len(vouches) > 0 {
			text += ", and vouches for " + strings.Join(vouches, ", ")
		}
		return text
	case token.Service == "" && len(token.Owners) > 0:
		return "what belongs to " + strings.Join(token.Owners, ", ")
	case token.Service == "":
		return "everything"
	}
	return fmt.Sprintf("service %q and its instances", token.Service)
}

// vouchesOf is whom a keeper's token vouches for.
func vouchesOf(token client.Token) []string {
	if !token.VouchGateways {
		return token.Vouches
	}
	return append([]string{"gateways of its Gateways"}, token.Vouches...)
}

// Run lists the tokens.
func (c *tokenListCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	tokens, err := api.Tokens(ctx)
	if err != nil {
		return err
	}
	if c.Output != "table" {
		return con.Encode(c.Output, append([]client.Token{}, tokens...))
	}
	table := present.NewTable(con.Palette, "ID", "RIGHT", "FOR", "OWNERS", "DESCRIPTION", "AUTHOR", "AGE")
	for _, token := range tokens {
		table.Add(present.Text(token.ID, rightOf(token), holderOf(token), strings.Join(token.Owners, ","), token.Description, token.Author, since(token.CreatedAt))...)
	}
	return table.Write(con.Out)
}

// holderOf says whose a token is.
func holderOf(token client.Token) string {
	switch {
	case token.Service != "":
		return string(token.Service)
	case token.Gateway != "":
		return "gateway " + string(token.Gateway)
	case token.Authz:
		return "the AuthZ service"
	case token.Keeper != "":
		return strings.Join(append([]string{string(token.Keeper)}, vouchesOf(token)...), ", ")
	case len(token.Owners) > 0:
		return "(theirs)"
	}
	return "(all)"
}

// rightOf says what a token is for, in few words.
func rightOf(token client.Token) string {
	switch {
	case token.Kind == "":
		return "write"
	case token.Kind == "instances":
		return "write instances"
	case token.Kind == "keeper":
		return "keep"
	case !time.Now().Before(token.ExpiresAt):
		return token.Kind + ", expired"
	}
	return fmt.Sprintf("%s, %d of %d used", token.Kind, token.Used, token.Uses)
}

// Run ends the token.
func (c *tokenRevokeCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	if err := api.RevokeToken(ctx, c.ID); err != nil {
		return err
	}
	fmt.Fprintf(con.Out, "token %s revoked\n", present.Safe(c.ID))
	return nil
}
