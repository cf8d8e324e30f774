// Package placement says which virtual machines are instances of which services: a
// service declares the sources whose machines it has (endpoints.vms), and the machines'
// tags name the service, or the declaration the tags.
//
// [Place] is pure: a view of the mesh in, the sets of instances and the reasons out. A
// [Placer] compares that with the instances that there are and has what differs written
// (it runs on one server at a time, which refreshes the sources too). It looks at the
// catalog alone: what somebody else changes is put right, and a set that was written is
// not written again.
package placement
