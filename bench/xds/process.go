package main

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

// process is a server under measurement.
type process struct {
	command *exec.Cmd
	errors  *os.File // what it wrote to standard error
}

func start(ctx context.Context, dir string, command *exec.Cmd) (*process, error) {
	out, err := os.Create(filepath.Join(dir, filepath.Base(command.Path)+".log"))
	if err != nil {
		return nil, err
	}
	command.Stderr = out
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 10 * time.Second
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", command.Path, err)
	}
	return &process{command: command, errors: out}, nil
}

func (p *process) stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM)
	_ = p.command.Wait() // it was told to end
	_ = p.errors.Close()
}

// said gives the end of what the process wrote to standard error.
func (p *process) said() string {
	data, _ := os.ReadFile(p.errors.Name())
	return string(data[max(0, len(data)-2000):])
}

// cpu is the processor time that the process has used. The scheduler's own
// figures are exact to the nanosecond; those of /proc/<pid>/stat to 10 ms.
func (p *process) cpu() (time.Duration, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.command.Process.Pid))
	if err != nil || len(threads) == 0 {
		return 0, fmt.Errorf("no schedstat of process %d: %w", p.command.Process.Pid, err)
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

// rss is the resident memory, in MB of a million bytes.
func (p *process) rss() (float64, error) {
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
