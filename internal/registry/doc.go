// Package registry stores the mesh in etcd: what owners declared, the
// instances and their leases, and the access tokens. It is the only package
// that knows etcd.
//
// Main types: [Store], the client that every part of Heddle uses, and
// [Embedded], an etcd inside this process for a mesh that needs no cluster of
// its own; both are reached through the same code.
//
// Values are the model's JSON under /heddle/v1/, readable with etcdctl. A
// write is one transaction that compares revisions; an instance's key is bound
// to a lease and goes when nobody renews it. [Store.Watch] keeps a mirror of
// the mesh and hands over what changed, in the order of etcd's revisions,
// across lost connections and compactions. Values that cannot be read are set
// aside and reported, and the last good one stays in force.
//
// Nothing runs in the background but inside Watch, Follow and Embedded, which
// end with their context or Close.
package registry
