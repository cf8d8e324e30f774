// Package azure finds the virtual machines of Azure: those of their own, and those of scale
// sets, uniform and flexible, of one or many subscriptions and resource groups.
//
//	Resource Manager (arm.go) ─┐
//	                           ├─▶ found ──assemble──▶ machines, scope by scope
//	Resource Graph (graph.go) ─┘
//
// Either asks for whole lists, never for one machine, so that a refresh takes about as many
// calls as there are pages. What fails, fails a whole subscription: nothing of it is
// believed then. What was known and is not listed is asked for before it is taken for
// gone (prove.go), because Azure leaves out what the caller may not read. IDs are compared
// in lower case, because Azure's APIs do not agree on it.
package azure
