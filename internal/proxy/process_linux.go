package proxy

import "syscall"

// childAttributes makes a proxy leader of a group of its own, so that Ctrl-C at a
// terminal reaches this process alone, which then drains; and has the kernel
// kill it when this process ends in whatever way, SIGKILL included.
//
// The signal is tied to the thread that starts the child (see StartBound),
// and is dropped when the binary has capabilities or is set-user-ID (prctl(2)):
// a proxy that is to take ports below 1024 gets the capability from systemd
// (AmbientCapabilities) rather than from setcap.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
