package main

// tokenCmd groups what is done with access tokens.
type tokenCmd struct {
	Create tokenCreateCmd `cmd:"" help:"Create a token and print its secret, once."`
	List   tokenListCmd   `cmd:"" help:"List the tokens, without their secrets."`
	Revoke tokenRevokeCmd `cmd:"" help:"End a token."`
}

type tokenCreateCmd struct {
	Service     string `help:"The token may write this service and its instances only; left out, everything."`
	Description string `help:"What it is for."`
}

type tokenListCmd struct {
	Output string `short:"o" enum:"table,json,yaml" default:"table" help:"table, json or yaml."`
}

type tokenRevokeCmd struct {
	ID string `arg:"" help:"The ID, as shown by heddle token list."`
}
