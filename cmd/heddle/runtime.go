package main

// runtimeCmd groups what is done with the runtime layer.
type runtimeCmd struct {
	Get   runtimeGetCmd   `cmd:"" help:"Show the runtime layer."`
	Set   runtimeSetCmd   `cmd:"" help:"Set keys, and leave the others as they are."`
	Unset runtimeUnsetCmd `cmd:"" help:"Remove keys."`
}

// Help shows examples below the commands.
func (runtimeCmd) Help() string {
	return `The runtime layer "heddle" reaches every proxy at once. Its keys are Envoy's.

Example:

  heddle runtime get`
}

type runtimeGetCmd struct {
	Output string `short:"o" enum:"table,json,yaml" default:"table" help:"table, json or yaml; apply takes json and yaml back."`
}

// Help shows examples below the flags.
func (runtimeGetCmd) Help() string {
	return "Examples:\n\n  heddle runtime get\n  heddle runtime get -o yaml"
}

type runtimeSetCmd struct {
	Values []string `arg:"" name:"key=value" help:"Keys and their values: numbers, true, false, or text."`
}

// Help shows examples below the flags.
func (runtimeSetCmd) Help() string {
	return `A value in double quotes is text, whatever it looks like.

Examples:

  heddle runtime set envoy.reloadable_features.x=false
  heddle runtime set upstream.healthy_panic_threshold=20 'note="20"'`
}

type runtimeUnsetCmd struct {
	Keys []string `arg:"" name:"key" help:"The keys."`
}

// Help shows examples below the flags.
func (runtimeUnsetCmd) Help() string {
	return "Example:\n\n  heddle runtime unset upstream.healthy_panic_threshold"
}
