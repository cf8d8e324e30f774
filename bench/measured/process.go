// Package measured runs the processes that benchmarks measure, and says what
// processor time and memory they use. Each is stopped by who started it.
package measured

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is a program under measurement, or one that it needs.
type Process struct {
	command *exec.Cmd
	log     string // file
}

// Start runs a command of exec.CommandContext. What it writes goes to the file
// log, its standard output too if the command has no other use for it.
func Start(command *exec.Cmd, log string) (*Process, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer out.Close() // the child has its own copy
	command.Stderr = out
	if command.Stdout == nil {
		command.Stdout = out
	}
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 10 * time.Second
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", command.Path, err)
	}
	return &Process{command: command, log: log}, nil
}

// Stop asks the process to end, and waits until it has.
func (p *Process) Stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM)
	_ = p.command.Wait() // it was told to end
}

// Said gives the end of what the process wrote to its log.
func (p *Process) Said() string {
	data, _ := os.ReadFile(p.log)
	return string(data[max(0, len(data)-2000):])
}

// Await waits for a line that the process writes into a file when it is ready,
// and gives it.
func (p *Process) Await(ctx context.Context, file string, patience time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		data, err := os.ReadFile(file)
		if err == nil && strings.HasSuffix(string(data), "\n") {
			return strings.TrimSpace(string(data)), nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("%s did not write %s within %s: %s", p.command.Path, file, patience, p.Said())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// CPU is the processor time that the process has used. The scheduler's own
// figures are exact to the nanosecond; those of /proc/<pid>/stat to 10 ms.
func (p *Process) CPU() (time.Duration, error) { return CPU(p.PID()) }

// PID is the process's id.
func (p *Process) PID() int { return p.command.Process.Pid }

// CPU is the processor time that the process of an id has used.
func CPU(pid int) (time.Duration, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(threads) == 0 {
		return 0, fmt.Errorf("no schedstat of process %d: %w", pid, err)
	}
	var sum time.Duration
	for _, one := range threads {
		data, err := os.ReadFile(one)
		if err != nil {
			continue // the thread has just ended
		}
		first, _, _ := strings.Cut(string(data), " ")
		n, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read %s: %w", one, err)
		}
		sum += time.Duration(n)
	}
	return sum, nil
}

// RSS is the resident memory, in MB of a million bytes.
func (p *Process) RSS() (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if rest, is := strings.CutPrefix(line, "VmRSS:"); is {
			kb, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
			return kb * 1024 / 1e6, err
		}
	}
	return 0, fmt.Errorf("process %d has no VmRSS", p.command.Process.Pid)
}
