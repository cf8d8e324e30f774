package main

// lintCmd checks files offline.
type lintCmd struct {
	Files []string `name:"file" short:"f" sep:"none" required:"" placeholder:"FILE|DIR|-" help:"File, folder of files, or - for standard input. May be repeated."`
}
