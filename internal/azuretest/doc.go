// Package azuretest is an Azure for tests: Resource Manager's lists of machines, scale sets,
// interfaces and public addresses, Resource Graph, and where managed identities get tokens,
// over real HTTP. The answers come from the SDK's own fake servers; what is in them is Go
// data that a test changes at any time:
//
//	cloud := azuretest.New(t)
//	cloud.Put(azuretest.VM{Subscription: sub, Group: "mesh", Name: "orders-1", ...})
//	cloud.Fail(func(r azuretest.Request) *azuretest.Failure { ... })
//
// [Azure.Settings] is what a source is to be told to ask it, [Azure.Env] what the
// environment of a process wants, so that its managed identity is had from here.
package azuretest
