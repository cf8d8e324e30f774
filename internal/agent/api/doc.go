// Package api is the HTTP API of a host's agent: what the fleet looks like from here, for
// people, programs, and those made for Sidecar.
//
// Main types: a [Server] answers, from snapshots that [Config] gives it; a [Client] asks
// one. [Fleet] and [Service] are what they say to each other.
//
// Whoever reaches the listener may read. Who writes needs a token, and without a file of
// tokens nobody writes. Each snapshot is encoded once, whoever asks for it. A stream has
// no queue: a reader that is slow skips snapshots, and is cut off when it stands still.
// The server's goroutines are those of net/http, and Run waits for them.
package api
