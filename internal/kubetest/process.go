package kubetest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/heddle-mesh/heddle/internal/childtest"
)

const (
	// startTimeout is far above the 5 s that a start takes, for busy machines.
	startTimeout = 2 * time.Minute
	// stopTimeout is above what the API server gives requests that are under way.
	stopTimeout = 30 * time.Second
)

// process is a program that runs until it is stopped.
type process struct {
	*childtest.Child
	name string
	log  string // file
}

// start runs a program, whose log goes to the end of a file in the folder.
func start(folder, file string, arguments ...string) (*process, error) {
	return run(folder, filepath.Base(file), exec.CommandContext(context.Background(), file, arguments...))
}

// startApart runs a program as the first process of a PID namespace, which all
// that it starts ends with, in a mount namespace.
func startApart(folder, name, file string, arguments ...string) (*process, error) {
	cmd := exec.CommandContext(context.Background(), file, arguments...)
	apart(cmd)
	return run(folder, name, cmd)
}

// run starts a command.
func run(folder, name string, cmd *exec.Cmd) (*process, error) {
	p := &process{name: name, log: logFile(folder, name)}
	output, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer output.Close() // the process has its own
	cmd.Stdout, cmd.Stderr = output, output
	if p.Child, err = childtest.Start(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// stop asks the process to end, as SIGTERM does, and waits for it.
func (p *process) stop() error {
	if !p.Stop(stopTimeout) {
		return fmt.Errorf("%s did not end within %s of SIGTERM; killed", p.name, stopTimeout)
	}
	return nil
}

// await polls until attempt gives nil; it gives up when the process ends first
// or it takes too long.
func (p *process) await(what string, attempt func() error) error {
	deadline := time.After(startTimeout)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := attempt()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.Exited():
			return fmt.Errorf("%s ended (%w) before it could %s:\n%s", p.name, p.Err(), what, tail(p.log))
		case <-deadline:
			return fmt.Errorf("%s did not %s within %s: %w\n%s", p.name, what, startTimeout, err, tail(p.log))
		}
	}
}
