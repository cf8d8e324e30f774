// Package operator joins Kubernetes clusters to the mesh: it is a client of each
// cluster's API and of Heddle's, and holds nothing of its own.
//
// [Operator.Run] runs until its context ends. What the registry holds comes as a
// stream of events into a mirror, once for all clusters. Each cluster has a
// manager (controller-runtime), started again when it fails, with a leader among
// its replicas.
//
// A cluster's controllers run while its name in the mesh is noted to be that cluster's,
// and no other's of the same name; and there are two sorts of them:
//
//   - objects: MeshService, Upstream and MeshRoute are written to the registry,
//     kept by kubernetes/CLUSTER/NAMESPACE/NAME, and told of in their status;
//   - discovery: EndpointSlices become the full set of instances that
//     kubernetes/CLUSTER keeps of a mesh service.
//
// Both are level-triggered: a request says only which object or service is to be
// looked at, and what is written follows from the caches and the mirror as they are
// then. Controllers begin once their caches have been filled, so a set that is sent is
// never one that was not read to its end; a cluster whose API is gone sends nothing,
// and what it had stays.
package operator
