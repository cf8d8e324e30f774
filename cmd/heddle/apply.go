package main

import "time"

// applyCmd writes the objects of files to the mesh.
type applyCmd struct {
	Files  []string      `name:"file" short:"f" required:"" sep:"none" complete:"files" placeholder:"FILE|DIR|-" help:"File, folder of files, or - for standard input. May be repeated."`
	DryRun bool          `help:"Say what would be done, and do nothing."`
	TTL    time.Duration `name:"instance-ttl" default:"1h" help:"How long the instances in the files stay registered without being renewed."`
}

// Help shows examples below the flags.
func (applyCmd) Help() string {
	return `All files are read and checked before anything is written; services come first. A meta.revision in a file makes the write fail if the object has changed since.

Examples:

  heddle apply -f mesh.yaml
  heddle apply -f teams/ --dry-run
  heddle get service web -o yaml | sed 's/port: 80$/port: 8080/' | heddle apply -f -`
}
