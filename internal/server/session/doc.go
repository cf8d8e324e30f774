// Package session says who looks at the web pages: it signs people in, keeps
// that in a cookie, and finds it again with each request.
//
// Main types: [Sessions] and [User]. A cookie is encrypted by a key that the servers
// of a mesh share through etcd, and says inside until when it holds: eight hours.
// That of somebody who signed in with an access token holds the token, and the
// registry is asked about it with each request, as the API does: a token that was
// revoked is out at once.
//
// With [OIDC], people may sign in at a provider instead. Who they are and what they
// own is then in the cookie.
//
// A [User] may do what the access token may do, or one that would be its like;
// what is written is judged by the registry. Nothing runs in the background.
package session
