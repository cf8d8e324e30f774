// Package inventory has virtual machines from a list that somebody else keeps: a file, or
// what an address answers. It is how the machines of a cloud come into the mesh for which
// there is no package yet, and the smallest example of one.
//
// The list is JSON, as GET /api/vms answers it: what one mesh knows can be another's
// inventory.
package inventory
