package main

// watchCmd follows changes.
type watchCmd struct {
	Since  int64  `placeholder:"REVISION" help:"Begin behind this revision; left out, with what there is now."`
	Output string `short:"o" enum:"lines,json" default:"lines" help:"lines, or json: one object on each line."`
}

// Help shows examples below the flags.
func (watchCmd) Help() string {
	return `Examples:

  heddle watch
  heddle watch -o json | jq -c 'select(.deleted)'`
}
