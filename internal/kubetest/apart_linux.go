package kubetest

import (
	"os/exec"
	"syscall"
)

// apart gives the process a PID and a mount namespace of its own.
func apart(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
}
