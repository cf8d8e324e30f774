package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/alecthomas/kong"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// The exit codes. Scripts rely on them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitConflict    = 4
	exitDenied      = 5
	exitUnavailable = 6
)

// usageError is a command line that makes no sense.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

// usage explains what the parser did not understand.
func usage(_ *kong.Kong, _ []string, err error) error {
	return &usageError{message: err.Error()}
}

// fail prints err, if there is one, and gives the exit code.
func (c *console) fail(err error) int {
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(c.err, "heddle: %v\n", err)
	return exitCode(err)
}

func exitCode(err error) int {
	var wrong *usageError
	if errors.As(err, &wrong) {
		return exitUsage
	}
	switch mesh.KindOf(err) {
	case mesh.KindNotFound:
		return exitNotFound
	case mesh.KindConflict:
		return exitConflict
	case mesh.KindDenied:
		return exitDenied
	case mesh.KindUnavailable:
		return exitUnavailable
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return exitUnavailable
	}
	return exitFailed
}
