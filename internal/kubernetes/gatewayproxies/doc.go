// Package gatewayproxies prints what runs the proxies of a Gateway of the Gateway API, for
// whoever may make pods in its namespace: the operator has no right to.
//
// [Manifests] reads the Gateway, from a cluster or from a file, and judges its listeners as
// the operator does (package gatewayapi); the objects are made by package install. What is not
// said of the installation is read from its Deployment of the operator.
package gatewayproxies
