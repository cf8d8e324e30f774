package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/heddle-mesh/heddle/internal/manifest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
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

// hinted is an error with what to do about it.
type hinted struct {
	err  error
	hint string
}

func (e *hinted) Error() string { return e.err.Error() }
func (e *hinted) Unwrap() error { return e.err }

// fail prints err, if there is one, and gives the exit code.
func (c *console) fail(err error) int {
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(c.err, present.SafeLines("heddle: "+strings.Join(account(err), "\n")))
	return exitCode(err)
}

// account tells an error in lines: what happened, the faults, what to do.
func account(err error) []string {
	var files *manifest.Error
	var refused *mesh.Error
	var advice *hinted
	lines := []string{err.Error()}
	switch {
	case errors.Is(err, context.Canceled):
		lines = []string{"interrupted"}
	case errors.As(err, &files):
	case errors.As(err, &refused) && len(refused.Faults) > 0:
		// What wraps the refusal stays before it; the faults get lines of their own.
		short := *refused
		short.Faults = nil
		lines[0] = strings.Replace(lines[0], refused.Error(), short.Error(), 1) + ":"
		for _, fault := range refused.Faults {
			lines = append(lines, mesh.Faults{fault}.String())
		}
	}
	if errors.As(err, &advice) {
		lines = append(lines, advice.hint)
	}
	return lines
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
