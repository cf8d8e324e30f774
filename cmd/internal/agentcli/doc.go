// Package agentcli is the command line of a fleet of hosts: heddle agent ([Agent]) and heddle
// hosts ([Hosts]), which are the same in heddle and in heddle-agent. It wires what is in
// internal/agent and below; each part has its flags and its wiring in a file of its own, as a
// struct that Agent embeds. What the agent needs and heddle-agent does not already have is in
// the program of each host: a test lists what must not get there.
package agentcli
