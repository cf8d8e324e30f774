package childtest

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel end the process when the test process is killed.
func dieWithParent(command *exec.Cmd) {
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{}
	}
	command.SysProcAttr.Pdeathsig = syscall.SIGKILL
}
