package cli

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
	ExitOK          = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitNotFound    = 3
	ExitConflict    = 4
	ExitDenied      = 5
	ExitUnavailable = 6
	ExitStopped     = 7
	ExitUncertain   = 8
)

// Hinted is an error with what to do about it.
type Hinted struct {
	Err  error
	Hint string
}

func (e *Hinted) Error() string { return e.Err.Error() }
func (e *Hinted) Unwrap() error { return e.Err }

// Verdict is an end of a command that has shown already what is wrong: the exit code alone tells it.
type Verdict struct {
	Message string
	Code    int
}

func (v *Verdict) Error() string { return v.Message }

// Fail prints err, if there is one, and gives the exit code.
func (c *Console) Fail(err error) int {
	var verdict *Verdict
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &verdict):
		return verdict.Code
	}
	messages, hints := accounts(err)
	for _, message := range messages {
		fmt.Fprintln(c.Err, present.SafeLines(c.Program+": "+message))
	}
	for _, hint := range hints {
		fmt.Fprintln(c.Err, present.SafeLines(hint))
	}
	return ExitCode(err)
}

// accounts tells an error, or each of those joined in it, with its faults, and
// what to do, each hint once.
func accounts(err error) (messages, hints []string) {
	var files *manifest.Error
	var advice *Hinted
	switch joined := err.(type) { //nolint:errorlint // the outermost only
	case *Hinted:
		messages, hints = accounts(joined.Err)
		return messages, append(hints, joined.Hint)
	case interface{ Unwrap() []error }:
		for _, one := range joined.Unwrap() {
			more, advice := accounts(one)
			messages, hints = append(messages, more...), append(hints, advice...)
		}
		slices.Sort(hints)
		return messages, slices.Compact(hints)
	}
	if errors.As(err, &advice) {
		hints = append(hints, advice.Hint)
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

// ExitCode is what a program ends with after err.
func ExitCode(err error) int {
	var wrong *UsageError
	if errors.As(err, &wrong) {
		return ExitUsage
	}
	switch mesh.KindOf(err) {
	case mesh.KindNotFound:
		return ExitNotFound
	case mesh.KindConflict:
		return ExitConflict
	case mesh.KindDenied:
		return ExitDenied
	case mesh.KindUnavailable:
		return ExitUnavailable
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return ExitUnavailable
	}
	return ExitFailed
}
