package proxy

import "syscall"

// MostPorts is at how many ports a proxy of this machine may listen, by the limit of open
// files that it inherits from this process: half of them are for listening, with one file
// for each worker and port, and half for connections. An Envoy that has no file left for a
// listener aborts. Proxies raise their limit to the hard one themselves.
func MostPorts() int {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return 0 // not bounded, as far as can be told
	}
	const all = 65535
	return int(max(1, min(files.Max/2/defaultConcurrency, all))) //nolint:gosec // it is no more than all
}
