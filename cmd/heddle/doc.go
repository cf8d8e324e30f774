// Command heddle is the whole of Heddle in one binary: the server, the runner
// of sidecars, the demo, and the command line on the API.
//
// main.go parses the command line with kong into [commands], one struct per
// subcommand, each in a file of its own. A subcommand holds flags and wiring;
// what it does lives in internal packages. What the programs of Heddle share is in
// cmd/internal: cli (the frame, errors and exit codes), agentcli and interceptcli.
package main
