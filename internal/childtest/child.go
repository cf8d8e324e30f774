// Package childtest starts programs that end with the test that started them, also when
// that is killed, for instance by go test's own timeout, which runs no cleanup.
package childtest

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Child is a program that was started.
type Child struct {
	*os.Process

	exited chan struct{}
	err    error // how it ended; read it only once exited is closed
}

// Start starts a command, and waits for its end in a goroutine.
func Start(command *exec.Cmd) (*Child, error) {
	dieWithParent(command)
	c := &Child{exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		// A parent-death signal is bound to the thread that forked, so that
		// thread has to live as long as the process.
		runtime.LockOSThread()
		defer close(c.exited)
		err := command.Start()
		started <- err
		if err == nil {
			c.err = command.Wait()
		}
	}()
	if err := <-started; err != nil {
		<-c.exited
		return nil, err
	}
	c.Process = command.Process
	return c, nil
}

// Exited is closed once the program has ended.
func (c *Child) Exited() <-chan struct{} { return c.exited }

// Err says how it ended, once it has.
func (c *Child) Err() error {
	<-c.exited
	return c.err
}

// Stop asks the program to end, as SIGTERM does, and waits for it. It is killed, and false
// comes back, when it takes longer than it may.
func (c *Child) Stop(within time.Duration) bool {
	_ = c.Signal(syscall.SIGTERM) // fails only if it has ended
	select {
	case <-c.exited:
		return true
	case <-time.After(within):
		c.Kill()
		return false
	}
}

// Kill ends the program without any warning, as a crash does, and waits for it.
func (c *Child) Kill() {
	_ = c.Process.Kill() // fails only if it has ended
	<-c.exited
}
