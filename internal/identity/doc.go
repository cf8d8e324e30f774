// Package identity is the mesh's certificate authority: it gives workloads and
// the control plane short-lived X.509 certificates that hold a SPIFFE ID
// (spiffe://TRUST-DOMAIN/service/NAME, …/gateway/NAME, …/heddle/authz,
// …/heddle/server), and reads the ID of whoever connects.
//
// The main type is [Authority]. Its key is made at the first start in the
// server's data folder ([Create]) or given ([Load]); it signs requests
// ([Authority.Issue]), the server's own certificate ([Authority.ServerTLS]), and
// says which roots everyone trusts ([Authority.Bundle]), of which there may be
// several while one follows another. [Authority.Client] reads the proven identity
// of a connection. The package starts no goroutine; of its caller's clock and
// files it takes what it is given.
//
// Which identity a join token is for is the registry's to know; how a workload
// keeps its key and renews its certificate is internal/workload's.
package identity
