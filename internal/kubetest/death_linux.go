package kubetest

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel end the process when the test process is
// killed, for instance by go test's own timeout, which runs no cleanup.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
