// Package envoytest lets tests use the real Envoy: [Path] finds it (or skips
// the test, saying why), [Validate] has it judge a bootstrap, and [Start] runs
// it until the test ends.
//
// An [Envoy] is stopped and waited for in the test's cleanup, and its log is
// shown when the test failed. One goroutine owns the process; the cleanup
// waits for it. Bootstraps are JSON; the package knows nothing of what is in
// them but the admin address, which it chooses itself, so that many Envoys
// run side by side.
package envoytest
