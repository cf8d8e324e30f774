package main

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
	Service     string `complete:"services" placeholder:"NAME" help:"The token may write this service and its instances only; left out, everything."`
	Description string `placeholder:"TEXT" help:"What it is for."`
}

// Help shows examples below the flags.
func (tokenCreateCmd) Help() string {
	return `The secret is written to standard output and cannot be shown again; the rest goes to standard error.

Examples:

  heddle token create --service orders --description "orders' sidecars" > orders.token
  heddle token create --description "Ada, on call"`
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
