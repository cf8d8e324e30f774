package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// keysCmd groups what is done with the keys that the AuthZ services sign with.
type keysCmd struct {
	List     keysListCmd     `cmd:"" help:"Show the signing keys, and the AuthZ services."`
	Rotate   keysRotateCmd   `cmd:"" help:"Have the next key sign now, without a failed request."`
	Revoke   keysRevokeCmd   `cmd:"" help:"End a key within seconds, and for ever."`
	Withdraw keysWithdrawCmd `cmd:"" help:"Take the AuthZ services out of the mesh: sidecars neither ask for tokens nor check them."`
	Publish  keysPublishCmd  `cmd:"" help:"Take them into the mesh again."`
}

// Help shows examples below the commands.
func (keysCmd) Help() string {
	return "Example:\n\n  heddle keys list"
}

type keysListCmd struct {
	Output string `short:"o" enum:"table,json,yaml" default:"table" help:"table, json or yaml."`
}

// Help shows examples below the flags.
func (keysListCmd) Help() string {
	return `A key signs, is the next one, or is a former one, which is kept until its last token has ended.

Examples:

  heddle keys list
  heddle keys list -o json | jq -r '.keys[] | select(.state == "signing") | .id'`
}

// keysWait is how long a command waits for the AuthZ services.
type keysWait struct {
	Timeout time.Duration `default:"30s" placeholder:"TIME" help:"How long to wait until it is done. 0: not at all."`
}

type keysRotateCmd struct{ keysWait }

// Help shows examples below the flags.
func (keysRotateCmd) Help() string {
	return `The present key's tokens stay valid until they end.

Example:

  heddle keys rotate`
}

type keysRevokeCmd struct {
	ID string `arg:"" help:"The key's ID (kid), as shown by heddle keys list."`
	keysWait
}

// Help shows examples below the flags.
func (keysRevokeCmd) Help() string {
	return `For a key that somebody else has, or may have. Another signs in its place; its tokens are refused within six seconds, wherever they are kept. Every service's tokens are made anew.

Example:

  heddle keys revoke NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs`
}

type keysWithdrawCmd struct{}

// Help shows examples below the flags.
func (keysWithdrawCmd) Help() string {
	return `Who may call whom is then a matter of certificates alone, and routes with auth answer 503. It lasts until heddle keys publish, also when AuthZ services start. Withdraw the keys before you stop the last AuthZ service for good: sidecars that ask nobody refuse every request.

Example:

  heddle keys withdraw`
}

type keysPublishCmd struct{ keysWait }

// Help shows examples below the flags.
func (keysPublishCmd) Help() string { return "Example:\n\n  heddle keys publish" }

// Run lists the keys.
func (c *keysListCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	keys, err := api.SigningKeys(ctx)
	if err != nil {
		return err
	}
	if c.Output != "table" {
		return con.Encode(c.Output, keys)
	}
	if keys.Withdrawn {
		fmt.Fprintln(con.Out, "The keys are withdrawn: sidecars neither ask for tokens nor check them. heddle keys publish ends that.")
	}
	table := present.NewTable(con.Palette, "KEY", "ALGORITHM", "STATE", "SIGNS FROM")
	for _, key := range keys.Keys {
		table.Add(present.Text(key.ID, key.Algorithm, key.State, key.SignsFrom.Local().Format(time.RFC3339))...)
	}
	for _, key := range keys.Revoked {
		if !slices.ContainsFunc(keys.Keys, func(k client.SigningKey) bool { return k.ID == key.ID }) {
			table.Add(present.Text(key.ID, "", "revoked, gone", "")...)
		}
	}
	if err := table.Write(con.Out); err != nil {
		return err
	}
	fmt.Fprintln(con.Out)
	table = present.NewTable(con.Palette, "AUTHZ SERVICE", "ADDRESS")
	for _, one := range keys.Authorizers {
		table.Add(present.Text(one.ID, net.JoinHostPort(one.Address, strconv.Itoa(int(one.Port))))...)
	}
	return table.Write(con.Out)
}

// Run has the next key sign.
func (c *keysRotateCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	before, err := api.SigningKeys(ctx)
	if err != nil {
		return err
	}
	if err := api.OrderSigningKeys(ctx, "rotate"); err != nil {
		return err
	}
	former, signing := signingKey(before), ""
	err = c.await(ctx, api, con, "another key signs", func(now client.SigningKeys) bool {
		signing = signingKey(now)
		return signing != "" && signing != former
	})
	if err == nil && signing != "" {
		fmt.Fprintf(con.Out, "key %s signs\n", present.Safe(signing))
	}
	return err
}

// Run ends the key.
func (c *keysRevokeCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	if err := api.RevokeSigningKey(ctx, c.ID); err != nil {
		return err
	}
	err := c.await(ctx, api, con, "the key is no longer published", func(now client.SigningKeys) bool {
		return !slices.ContainsFunc(now.Keys, func(k client.SigningKey) bool { return k.ID == c.ID })
	})
	if err == nil && c.Timeout > 0 {
		fmt.Fprintf(con.Out, "key %s revoked: sidecars refuse its tokens\n", present.Safe(c.ID))
	}
	return err
}

// Run takes the keys away.
func (*keysWithdrawCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	if err := api.OrderSigningKeys(ctx, "withdraw"); err != nil {
		return err
	}
	fmt.Fprintln(con.Out, "signing keys withdrawn: sidecars neither ask for tokens nor check them, and routes with auth answer 503, until heddle keys publish")
	return nil
}

// Run gives the keys back.
func (c *keysPublishCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	if err := api.OrderSigningKeys(ctx, "publish"); err != nil {
		return err
	}
	err := c.await(ctx, api, con, "keys are published", func(now client.SigningKeys) bool { return len(now.Keys) > 0 })
	if err == nil && c.Timeout > 0 {
		fmt.Fprintln(con.Out, "signing keys published")
	}
	return err
}

// await waits until the AuthZ services have done what was ordered. That stays
// ordered, whether they are at work now or later.
func (w *keysWait) await(ctx context.Context, api *client.Client, con *cli.Console, what string, done func(client.SigningKeys) bool) error {
	if w.Timeout <= 0 {
		fmt.Fprintln(con.Out, "ordered")
		return nil
	}
	end := time.Now().Add(w.Timeout)
	for {
		now, err := api.SigningKeys(ctx)
		switch {
		case err != nil:
			return err
		case done(now):
			return nil
		case time.Now().After(end):
			return &cli.Hinted{
				Err:  mesh.Unavailable(nil, "it is ordered, but after %s it cannot be said yet that %s; %d AuthZ services are announced", w.Timeout, what, len(now.Authorizers)),
				Hint: "is an AuthZ service at work, and does its log say that it cannot use the signing keys? heddle keys list",
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// signingKey is the id of the key that signs, or "".
func signingKey(keys client.SigningKeys) string {
	for _, key := range keys.Keys {
		if key.State == "signing" {
			return key.ID
		}
	}
	return ""
}
