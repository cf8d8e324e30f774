package proxy

import (
	"context"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// An Envoy that does not answer because it takes up a large configuration works, and is
// left alone for longer than one that hangs.
func TestBusyEnvoyIsNotTakenForAHungOne(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		silent time.Duration
		killed bool
	}{
		"works":          {"while :; do :; done", 20 * time.Second, false},
		"hangs":          {"exec sleep 60", 20 * time.Second, true},
		"works for ever": {"while :; do :; done", busyAfter + time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			command := exec.CommandContext(t.Context(), "sh", "-c", c.script)
			command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- command.Wait() }()
			t.Cleanup(func() {
				_ = command.Process.Kill() // it may have ended
				if err := <-ended; err == nil {
					t.Error("it ended by itself")
				}
			})
			e := &envoy{process: &process{pid: command.Process.Pid, exited: context.Background()}, answered: true}
			asked := time.Now().Add(-c.silent)
			if err := e.heard(asked, false); err != nil {
				t.Fatalf("after one question: %v", err)
			}
			for began := mainThread(e.pid); c.silent < busyAfter && !c.killed && mainThread(e.pid)-began < 200*time.Millisecond; {
				time.Sleep(time.Millisecond)
			}
			var err error
			for range patience {
				err = e.heard(asked, false)
			}
			if killed := err != nil; killed != c.killed {
				t.Errorf("killed: %v (%v)", killed, err)
			}
		})
	}
}
