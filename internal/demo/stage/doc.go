// Package stage is what demos are played on: child processes that end with the demo
// whatever becomes of it, waiting, a tally of the requests that flow meanwhile, and a
// scenario of steps with its result.
//
// Main types: [Launcher] starts a [Process]; [Tally] counts; [Play] plays a list of
// [Step] and gives what becomes a [Result]. Each process has one goroutine, which
// waits for its end.
package stage
