// Package workload keeps one identity, of a workload, a gateway or an AuthZ service: it makes the key, which never
// leaves the machine, gets a certificate for it, first with a join token and then
// with the certificate before, and keeps both as files that Envoy and others read.
//
// The main type is [Identity]. [Open] finds it in its folder or joins; Run renews
// it at half its life until its context ends. The folder holds:
//
//	current -> generation-…   key.pem, cert.pem (with its chain) and bundle.pem,
//	                          replaced together, by one rename of the link
//	envoy-identity.json       SDS files that name those, and never change
//	envoy-bundle.json
//	identity -> .             by which an Envoy that runs in the folder finds them,
//	                          see mesh.IdentityFolder
//
// The join token is read from a file, or asked of an [Attestor] each time that one is
// needed. How the server is asked is the caller's ([Issue]); nobody else is talked to.
package workload
