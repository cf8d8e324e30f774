package main

// deleteCmd deletes objects.
type deleteCmd struct {
	Kind  string   `arg:"" optional:"" help:"service or route."`
	Names []string `arg:"" optional:"" name:"name" help:"Which ones."`
	Files []string `name:"file" short:"f" sep:"none" placeholder:"FILE|DIR|-" help:"Delete the objects that these files hold."`
}
