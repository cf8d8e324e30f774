package main

// runtimeCmd groups what is done with the runtime layer.
type runtimeCmd struct {
	Get   runtimeGetCmd   `cmd:"" help:"Show the runtime layer."`
	Set   runtimeSetCmd   `cmd:"" help:"Set keys."`
	Unset runtimeUnsetCmd `cmd:"" help:"Remove keys."`
}

type runtimeGetCmd struct {
	Output string `short:"o" enum:"table,json,yaml" default:"table" help:"table, json or yaml."`
}

type runtimeSetCmd struct {
	Values []string `arg:"" name:"key=value" help:"Keys and their values: numbers, true, false, or strings."`
}

type runtimeUnsetCmd struct {
	Keys []string `arg:"" name:"key" help:"The keys."`
}
