package health

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/heddle-mesh/heddle/internal/hosts"
)

const (
	mostOutput = 4 << 10 // of a command; the last of it is kept
	// leaves is how long what a command left behind may hold its output open.
	leaves = 500 * time.Millisecond
)

// execProbe runs a command without a shell. Exit code 0 is a success. What it started
// ends with it. Of the agent's environment, which may hold secrets, it has what is given.
func execProbe(words, environment []string) probe {
	return func(ctx context.Context) error {
		command := exec.CommandContext(ctx, words[0], words[1:]...)
		command.Dir, command.Env = "/", append([]string{"LC_ALL=C.UTF-8"}, environment...)
		command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		end := func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
		command.Cancel, command.WaitDelay = end, leaves
		var output tail
		command.Stdout, command.Stderr = &output, &output
		err := command.Run()
		if command.Process != nil {
			_ = end() // fails when nothing is left of its group
		}
		var exit *exec.ExitError
		switch {
		case err == nil, errors.Is(err, exec.ErrWaitDelay):
			return nil
		case errors.As(err, &exit):
			if line := hosts.ShortReason(output.last()); line != "" {
				return fmt.Errorf("%s: %s", exit.ProcessState, line)
			}
			return errors.New(exit.String())
		}
		return err
	}
}

// tail keeps the last of what is written.
type tail struct{ text []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if len(t.text) > 2*mostOutput {
		t.text = append(t.text[:0], t.text[len(t.text)-mostOutput:]...)
	}
	return len(p), nil
}

// last gives the last line that is not empty.
func (t *tail) last() string {
	text := bytes.TrimSpace(t.text)
	return strings.TrimSpace(string(text[bytes.LastIndexByte(text, '\n')+1:]))
}
