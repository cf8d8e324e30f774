// Package edge says who is behind a request from outside the mesh, by the token
// that an identity provider gave: Cloudflare Access, or any OIDC issuer.
//
// [Read] reads the file of --edge-config, [New] makes [Providers] of it, which the
// AuthZ service asks by name ([authz.Visitors]). Each has a validator, which
// finds the token in the request's headers (source.go), checks its signature by
// the issuer's published keys (token.go), and then what it says (claims.go). The
// keys come over HTTPS (fetch.go) from where the issuer says (discovery.go).
//
// [Providers.Run] owns the fetching of keys: one goroutine for each, so one fetch
// of each at a time. Requests take the last good set and wait only for a key that is not
// in it. Nothing is started in a constructor.
package edge
