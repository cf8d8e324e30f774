package main

// applyCmd writes the objects of files to the mesh.
type applyCmd struct {
	Files  []string `name:"file" short:"f" required:"" sep:"none" placeholder:"FILE|DIR|-" help:"File, folder of files, or - for standard input. May be repeated."`
	DryRun bool     `help:"Say what would be done, and do nothing."`
}
