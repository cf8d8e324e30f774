package proxy

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

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

// mainThread gives how long the main thread of a process has run (proc_pid_stat(5),
// utime and stime, in ticks of 10 ms); 0 if it cannot be told.
func mainThread(pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/stat", pid, pid))
	if err != nil {
		return 0
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const utime, stime = 14 - 3, 15 - 3 // counted from 1, of which the first two are before
	if len(fields) <= stime {
		return 0
	}
	ticks := 0
	for _, i := range []int{utime, stime} {
		n, err := strconv.Atoi(string(fields[i]))
		if err != nil {
			return 0
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
