package heddletest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/heddle-mesh/heddle/internal/childtest"
	"github.com/heddle-mesh/heddle/internal/logtest"
)

// Process is a heddle that runs, or did, or is to.
type Process struct {
	Arguments   []string // a change is for the next Run
	Environment []string // beside the test's
	// Command makes the command, for instance in a network namespace. It is exec.Command.
	Command func(program string, arguments ...string) *exec.Cmd
	Ready   string // the file of --ready-file
	Log     logtest.Buffer

	t     testing.TB
	path  string
	child *childtest.Child // the last
}

// Start runs heddle until the test ends. It does not wait until it is ready.
func (p *Program) Start(t testing.TB, arguments ...string) *Process {
	t.Helper()
	one := p.Process(t, arguments...)
	one.Run()
	return one
}

// Process makes one that does not run yet. It gets a --ready-file, unless it has one.
func (p *Program) Process(t testing.TB, arguments ...string) *Process {
	t.Helper()
	one := &Process{t: t, path: p.Path(t), Arguments: slices.Clone(arguments), Command: exec.Command}
	if one.Ready = one.Argument("--ready-file"); one.Ready == "" {
		one.Ready = filepath.Join(t.TempDir(), "ready.json")
		one.Arguments = append(one.Arguments, "--ready-file", one.Ready)
	}
	return one
}

// Run starts it, once it has ended also again.
func (p *Process) Run() {
	p.t.Helper()
	_ = os.Remove(p.Ready)
	command := p.Command(p.path, p.Arguments...)
	command.Stdout, command.Stderr = &p.Log, &p.Log
	command.Env = append(os.Environ(), p.Environment...)
	first := p.child == nil
	var err error
	if p.child, err = childtest.Start(command); err != nil {
		p.t.Fatal(err)
	}
	if first {
		p.t.Cleanup(p.end)
	}
}

// AwaitReady waits until it serves, and reads into said what its ready file holds.
func (p *Process) AwaitReady(said any) {
	p.t.Helper()
	Eventually(p.t, p.name()+" to be ready", func() error {
		select {
		case <-p.child.Exited():
			p.t.Fatalf("%s ended:\n%s", p.name(), p.Log.String())
		default:
		}
		data, err := os.ReadFile(p.Ready)
		if err != nil {
			return err
		}
		return json.Unmarshal(data, said)
	})
}

// name is the program's with its command, if one is named.
func (p *Process) name() string {
	name := filepath.Base(p.path)
	if command := p.Arguments[0]; !strings.HasPrefix(command, "-") {
		name += " " + command
	}
	return name
}

// Argument is the value of a flag, "" without.
func (p *Process) Argument(flag string) string {
	if i := slices.Index(p.Arguments, flag); i >= 0 && i+1 < len(p.Arguments) {
		return p.Arguments[i+1]
	}
	return ""
}

// Exited is closed once it has ended.
func (p *Process) Exited() <-chan struct{} { return p.child.Exited() }

// Err says how it ended, once it has.
func (p *Process) Err() error { return p.child.Err() }

// PID is its number.
func (p *Process) PID() int { return p.child.Pid }

// Signal sends it a signal.
func (p *Process) Signal(signal os.Signal) error { return p.child.Signal(signal) }

// Kill ends it without a word, as a crash does, and waits for it.
func (p *Process) Kill() {
	p.child.Kill()
}

// End asks it to end, as SIGTERM does, and waits for it.
func (p *Process) End() {
	p.t.Helper()
	_ = p.Signal(syscall.SIGCONT) // a test may have stopped it
	if !p.child.Stop(Patience) {
		p.t.Errorf("%s did not end within %s", p.name(), Patience)
	}
}

// RunAt is Run at addresses, such as those that it had: by the flags that say them.
func (p *Process) RunAt(addresses map[string]string) {
	p.t.Helper()
	for i, argument := range p.Arguments[:len(p.Arguments)-1] {
		if address := addresses[argument]; address != "" {
			p.Arguments[i+1] = strings.TrimPrefix(strings.TrimPrefix(address, "http://"), "https://")
		}
	}
	p.Run()
}

// end is the test's: it shows the log of a test that failed.
func (p *Process) end() {
	p.End()
	switch log := p.Log.String(); {
	case strings.Contains(log, "DATA RACE"):
		p.t.Errorf("%s has a data race:\n%s", p.name(), log)
	case p.t.Failed():
		p.t.Logf("log of %s:\n%s", p.name(), log)
	}
}
