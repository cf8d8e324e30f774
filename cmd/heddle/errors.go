package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	exitStopped     = 7
	exitUncertain   = 8
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
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errStopped), errors.Is(err, errDrift):
		return exitStopped // what is wrong is shown already
	case errors.Is(err, errUncertain):
		return exitUncertain
	}
	messages, hints := accounts(err)
	for _, message := range messages {
		fmt.Fprintln(c.err, present.SafeLines("heddle: "+message))
	}
	for _, hint := range hints {
		fmt.Fprintln(c.err, present.SafeLines(hint))
	}
	return exitCode(err)
}

// accounts tells an error, or each of those joined in it, with its faults, and
// what to do, each hint once.
func accounts(err error) (messages, hints []string) {
	var files *manifest.Error
	var advice *hinted
	switch joined := err.(type) { //nolint:errorlint // the outermost only
	case *hinted:
		messages, hints = accounts(joined.err)
		return messages, append(hints, joined.hint)
	case interface{ Unwrap() []error }:
		for _, one := range joined.Unwrap() {
			more, advice := accounts(one)
			messages, hints = append(messages, more...), append(hints, advice...)
		}
		slices.Sort(hints)
		return messages, slices.Compact(hints)
	}
	if errors.As(err, &advice) {
		hints = append(hints, advice.hint)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return []string{"interrupted"}, hints
	case errors.As(err, &files):
		return []string{err.Error()}, hints
	}
	return []string{faultsBelow(err)}, hints
}

// faultsBelow gives each fault of a refusal a line of its own.
func faultsBelow(err error) string {
	var refused *mesh.Error
	if !errors.As(err, &refused) || len(refused.Faults) == 0 {
		return err.Error()
	}
	short := *refused // what wraps the refusal stays before it
	short.Faults = nil
	lines := []string{strings.Replace(err.Error(), refused.Error(), short.Error(), 1) + ":"}
	for _, fault := range refused.Faults {
		lines = append(lines, "  "+mesh.Faults{fault}.String())
	}
	return strings.Join(lines, "\n")
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
