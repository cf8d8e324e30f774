// Command heddle-agent is what a host of a mesh without a server needs of heddle, in a program
// that takes less memory: heddle agent, which is run when no command is named, and heddle
// hosts and heddle intercept. The commands are those of heddle, from cmd/internal.
package main
