package intercept

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"syscall"
)

// apart runs a program in a network namespace of its own, which is gone with it, and
// gives what it says.
func apart(ctx context.Context, input, program string, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, program, arguments...)
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	var said bytes.Buffer
	command.Stdin, command.Stderr = strings.NewReader(input), &said
	out, err := command.Output()
	if err != nil {
		return "", fault(program, err, said.String())
	}
	return string(out), nil
}
