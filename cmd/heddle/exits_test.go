package main

import (
	"errors"
	"os/exec"
	"strconv"
)

// exitCodeOf gives the exit code behind a failed command.
func exitCodeOf(err error) string {
	var exited *exec.ExitError
	if errors.As(err, &exited) {
		return strconv.Itoa(exited.ExitCode())
	}
	return err.Error()
}
