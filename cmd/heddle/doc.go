// Command heddle is the whole of Heddle in one binary: the server, the runner
// of sidecars, the demo, and the command line on the API.
//
// main.go parses the command line with kong into [cli], one struct per
// subcommand, each in a file of its own. A subcommand holds flags and wiring;
// what it does lives in internal packages. errors.go turns what comes back into
// one clear message and an exit code:
//
//	0 done   1 failed   2 wrong usage   3 not found   4 conflict   5 denied   6 unavailable   7 stopped, 8 uncertain (explain)
package main
