// Package attest gives pods of a cluster what they join the mesh with.
//
// [Attestor] is its type: POST /attest with a projected service account token, for
// the audience "heddle", is answered with a one-use join token for the service
// and instance that the pod is. The API server says whose the token is
// (TokenReview) and which pod it is bound to; the pod, as it stands in the API
// server now, says which service it belongs to; and the mesh says whether that
// service has pods of this namespace at all. Nothing that the caller says is
// believed: it only has to agree.
package attest
