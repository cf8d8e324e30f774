// Package hosts runs a fleet of hosts on one machine, to be seen and tried: an ingress
// host and three backend hosts, each a network namespace with an agent and its Envoy or HAProxy, and
// on each backend a container engine of its own with two services over HTTP and one over
// TCP (or, without Docker, plain processes and a file of services).
//
// [Run] is all of it: it starts everything, and plays a scenario under constant load
// through the ingress host, or stays until its context ends ([Config.Stay]). When it
// returns nothing is left. After a kill of the demo itself the kernel ends all that it
// started, for namespaces are held by nothing but their processes; what files and cgroups
// are left the next run removes (folder.go).
//
// run.go tells the story; town.go has the hosts, host.go one of them, containers.go and
// processes.go what it runs, network*.go namespaces. load.go keeps requests flowing, and
// scenario.go has the steps. It is played on package stage.
package hosts
