//go:build !linux

package proxy

import (
	"syscall"
	"time"
)

// childAttributes makes a proxy leader of a group of its own, so that Ctrl-C at a
// terminal reaches this process alone, which then drains. Only Linux can also
// tie its life to ours: here, a proxy outlives a runner killed by SIGKILL.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// mainThread is not known here.
func mainThread(int) time.Duration { return 0 }
