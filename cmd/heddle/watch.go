package main

// watchCmd follows changes.
type watchCmd struct {
	Since  int64  `placeholder:"REVISION" help:"Begin behind this revision; left out, with what there is now."`
	Output string `short:"o" enum:"lines,json" default:"lines" help:"lines, or json: one object on each line."`
}
