package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// marker is the environment variable by which the processes of a demo, and
// what they start in turn, are told from all others.
const marker = "HEDDLE_DEMO_RUN"

// Process is one child. When exited is closed it is gone, and failure may be read.
type Process struct {
	Name    string
	LogPath string
	PID     int
	wanted  atomic.Bool // its end was asked for
	exited  chan struct{}
	failure error
}

// Launcher starts children that all carry one mark.
type Launcher struct {
	Mark   string
	Folder string          // for their logs
	Dir    string          // that they run in; "": the demo's own
	Died   chan<- *Process // gets those that end unasked, as far as there is room
}

// Start runs a program with its output in a log file. The child leads a
// process group, so that a Ctrl-C at the terminal reaches only the demo, which
// then stops its children in order.
func (l Launcher) Start(name, path string, args ...string) (*Process, error) {
	logPath := filepath.Join(l.Folder, name+".log")
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer log.Close()                  // the child has its own copy
	cmd := exec.Command(path, args...) //nolint:noctx // it outlives ctx on purpose: it is stopped in its turn
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, l.Dir
	cmd.Env = l.Environment(cmd.Environ())
	cmd.SysProcAttr = childAttributes()

	p := &Process{Name: name, LogPath: logPath, exited: make(chan struct{})}
	started := make(chan error)
	go p.hold(cmd, started, l.Died)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// Run runs a program to its end, and gives what it wrote on standard output.
func (l Launcher) Run(ctx context.Context, path string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = l.Environment(cmd.Environ())
	out, err := cmd.Output()
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(failed.Stderr))
		}
		return nil, fmt.Errorf("run %s %s: %w", filepath.Base(path), args[0], err)
	}
	return out, nil
}

// EnvironmentMark is the entry in the environment of all that a demo started.
func (l Launcher) EnvironmentMark() string { return marker + "=" + l.Mark }

// Environment leaves out what the user has set for heddle itself: a token or a
// server of another mesh must not reach the demo's own.
func (l Launcher) Environment(inherited []string) []string {
	kept := []string{l.EnvironmentMark()}
	for _, entry := range inherited {
		if !strings.HasPrefix(entry, "HEDDLE_") {
			kept = append(kept, entry)
		}
	}
	return kept
}

// hold starts the child and waits for it, on one locked thread: the parent
// death signal comes when the thread that forked ends (prctl(2)), and a Go
// program ends threads when it likes.
func (p *Process) hold(cmd *exec.Cmd, started chan<- error, died chan<- *Process) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	p.PID = cmd.Process.Pid
	started <- nil
	p.failure = cmd.Wait()
	close(p.exited)
	if !p.wanted.Load() {
		select {
		case died <- p:
		default: // the first ones are enough to end the demo
		}
	}
}

// Stop asks the child to end, and after the grace, or when now is closed, makes
// it. It returns when the child is gone, and says whether it went by itself.
func (p *Process) Stop(grace time.Duration, now <-chan struct{}) bool {
	p.wanted.Store(true)
	if p.Gone() {
		return true
	}
	_ = syscall.Kill(p.PID, syscall.SIGTERM) // an error means that it is gone already
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.exited:
		return true
	case <-timer.C:
	case <-now:
	}
	p.Kill()
	return false
}

// Kill ends the child's process group at once and waits for the child.
func (p *Process) Kill() {
	p.wanted.Store(true)
	if !p.Gone() { // else the number may be another process's by now
		_ = syscall.Kill(-p.PID, syscall.SIGKILL)
	}
	<-p.exited
}

func (p *Process) Gone() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// Ended is an error that says so, with the last lines of the child's log; nil
// while it lives.
func (p *Process) Ended() error {
	if !p.Gone() {
		return nil
	}
	how := "it ended without an error"
	if p.failure != nil {
		how = p.failure.Error()
	}
	return fmt.Errorf("%s ended: %s%s; its log (%s) ends with:\n%s", p.Name, how, p.exhausted(), p.LogPath, LastLines(p.LogPath, 8))
}

// AwaitFile waits for a file that the child writes when it is ready, and hands
// it to read.
func (p *Process) AwaitFile(ctx context.Context, path string, within time.Duration, read func([]byte) error) error {
	err := Poll(ctx, within, p.Name+" to be ready", func(context.Context) error {
		if p.Gone() {
			return nil // looked at below
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return errors.New("it has not said that it is")
		}
		return read(data)
	})
	if err != nil {
		return fmt.Errorf("%w%s; its log (%s) ends with:\n%s", err, p.exhausted(), p.LogPath, LastLines(p.LogPath, 8))
	}
	return p.Ended()
}

// exhausted names what the machine ran out of, if the log says that Envoy could not
// watch its files; else "". Each Envoy with an identity takes four of what Linux
// gives a user 128 of.
func (p *Process) exhausted() string {
	if !strings.Contains(LastLines(p.LogPath, 1000), "fs.inotify.max_user_instances") {
		return ""
	}
	return "; this user has no inotify instances left for another Envoy: end something, or have root say: sysctl fs.inotify.max_user_instances=1024"
}

// LastLines gives the end of a text file, as well as it can be read.
func LastLines(path string, most int) string {
	file, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Size() > 1<<16 {
		_, _ = file.Seek(-1<<16, io.SeekEnd) // else it is read from its beginning
	}
	data, err := io.ReadAll(file)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-most):], []byte("\n")))
}
