// Package xds serves configuration to proxies over Envoy's xDS protocol: state
// of the world and delta, on the aggregated stream and on the separate services
// for clusters, endpoints, listeners, routes, secrets, extensions and runtime. It
// knows types, names, versions and bytes; nothing of services.
//
// Main types: a [Resource] is one named piece of configuration, encoded once by
// [NewResource]; a [Server] holds them and the proxies' streams. An [Update]
// given to [Server.Apply] is one transaction: new resources, and which scope
// holds which. A [ScopeOpener] says which scope a proxy belongs to; a stream
// sees that scope and nothing else. [Server.Status] tells how far each proxy
// has come, and so does CSDS (csds.go).
//
// # The way of a change
//
// Apply changes the table and marks the changed names in the mailboxes of the
// streams that asked for them. A mailbox is a set of names: a proxy that does
// not read costs the names that it asked for, and is sent the latest state when
// it reads again. Each stream has a session, a state machine without I/O and
// clock, that composes one response at a time from its subscriptions and what
// the scope holds now:
//
//   - order.go says what waits for what on the aggregated stream;
//   - compose.go what is put into a response;
//   - cover.go how the version of endpoints tells whether they came behind their
//     cluster;
//   - request.go how a request is taken in, asking.go how names are asked for, names.go
//     how a long list of them is read once; answer.go how responses are answered;
//   - turn.go how the table takes in an event;
//   - canary.go, trial.go, leaving.go which proxy is sent a change first, and what
//     the others keep until it was accepted; doubt.go what is kept to go back to;
//   - reference.go which resource names which other, as far as its bytes tell;
//   - ttl.go how what a proxy forgets by itself is kept there;
//   - wire.go, alike.go how a response is put together from bytes that all streams
//     share;
//   - journal.go how an acknowledgement tells how old the news was, proxies.go who is behind;
//   - admission.go how many streams open at a time, and how a server parts with them.
//
// The server has no goroutine of its own. A stream has two: its gRPC handler
// composes and sends, a second one receives; a third one waits for its moment to
// part once the server ends. Two timers belong to others: a stream's turn to open
// ends with it, the wait for a canary with its scope's last stream.
// [Server.Shutdown] ends all streams and waits for them.
package xds
