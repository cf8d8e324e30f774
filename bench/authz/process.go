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

// process is a program that was started.
type process struct{ command *exec.Cmd }

func start(ctx context.Context, log, name string, args ...string) (*process, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	command := exec.CommandContext(ctx, name, args...)
	command.Stdout, command.Stderr = out, out
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 10 * time.Second
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return &process{command}, nil
}

func (p *process) stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM)
	_ = p.command.Wait() // it was told to end
}

// cpu is the processor time that the process has used, by the scheduler's own
// figures, which are exact to the nanosecond.
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

// awaitFile waits until a file has something in it.
func awaitFile(ctx context.Context, path, log string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for {
		data, err := os.ReadFile(path)
		if err == nil && strings.HasSuffix(string(data), "\n") {
			return strings.TrimSpace(string(data)), nil
		}
		select {
		case <-ctx.Done():
			said, _ := os.ReadFile(log)
			return "", fmt.Errorf("%s is not there in time: %s", path, said)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
