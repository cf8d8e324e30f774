package main

// deleteCmd deletes objects.
type deleteCmd struct {
	Kind  string   `arg:"" optional:"" complete:"deletable" help:"service or route."`
	Names []string `arg:"" optional:"" name:"name" complete:"names" help:"Which ones."`
	Files []string `name:"file" short:"f" sep:"none" complete:"files" placeholder:"FILE|DIR|-" help:"Delete the objects that these files hold; those that are gone already are no fault."`
}

// Help shows examples below the flags.
func (deleteCmd) Help() string {
	return `Nothing is asked before it is done.

Examples:

  heddle delete service reviews
  heddle delete route shop blog
  heddle delete -f mesh.yaml`
}
