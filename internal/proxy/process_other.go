//go:build !linux

package proxy

import "syscall"

// childAttributes makes Envoy leader of a group of its own, so that Ctrl-C at a
// terminal reaches this process alone, which then drains. Only Linux can also
// tie Envoy's life to ours: here, an Envoy outlives a runner killed by SIGKILL.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
