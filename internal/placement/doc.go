// Package placement says which virtual machines are instances of which services: a
// service declares the sources whose machines it has (endpoints.vms), and the machines'
// tags name the service, or the declaration the tags.
//
// [Place] is pure: a view of the mesh in, the sets of instances and the reasons out; a
// [Cache] shares that among those who show it. A [Placer] compares it with the instances
// that there are and has what differs written, by one server at a time, and looks only at
// the machines that a change concerns. Each set is written by itself: one that cannot be
// is tried again later and told of, and no other waits for it. It looks at the catalog
// alone: what somebody else changes is put right, and a set that was written is not
// written again.
package placement
