// Package hosts is the model of a fleet of hosts that needs no registry: what each
// host runs ([Service], as its agent says), and what the mesh makes of it.
//
// Main types: a [Service] is one copy of a service on one host. A [Fleet] takes what
// hosts run and gives the changes of the mesh's services and instances that follow,
// for a catalog.
//
// The package is pure: no I/O, no clock, no goroutines. Whatever order the hosts are
// heard in, the same services on them give the same mesh, but for who owns a port
// that two services want: who has it keeps it.
package hosts
