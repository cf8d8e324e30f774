package netnstest

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Namespace is a network of its own. It ends with its file and its processes.
type Namespace struct{ file *os.File }

// New makes one, until the test ends. Where none can be made the test is skipped.
func New(t testing.TB) Namespace {
	t.Helper()
	made := make(chan error, 1)
	var n Namespace
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			n.file, err = os.Open("/proc/thread-self/ns/net")
		}
		made <- err
	}()
	if err := <-made; err != nil {
		t.Skipf("no network namespace can be made, which root may: %v", err)
	}
	t.Cleanup(func() { _ = n.file.Close() })
	return n
}

// Path is what nsenter --net= and ip take for it.
func (n Namespace) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.file.Fd()) }

// Do calls f in it: what sockets f opens are of it, wherever they are used.
func (n Namespace) Do(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()                                 // as above
		err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET) //nolint:gosec // a file's number
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}
