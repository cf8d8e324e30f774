// Package hosts_test plays a fleet of thirty hosts, each in a network namespace of its own
// on one bridge, with all the faults that networks and machines have.
package hosts_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/heddle-mesh/heddle/internal/heddletest"
)

// heddle is without the race detector: thirty agents would need ten times the memory.
var heddle = heddletest.Program{Plain: true, Name: "heddle-agent"}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { heddle.Remove(); os.Exit(code) }))
}

// namespace is a network of its own. It ends with its file and its processes.
type namespace struct{ file *os.File }

func newNamespace(t testing.TB) namespace {
	t.Helper()
	made := make(chan error, 1)
	var n namespace
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
	n.ip(t, "link set lo up")
	return n
}

func (n namespace) path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.file.Fd()) }

// command is a program's in the namespace.
func (n namespace) command(program string, arguments ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--net=" + n.path(), program}, arguments...)...)
}

func (n namespace) run(t testing.TB, program string, arguments ...string) {
	t.Helper()
	if out, err := n.command(program, arguments...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", program, arguments, err, out)
	}
}

func (n namespace) ip(t testing.TB, lines ...string) {
	t.Helper()
	command := n.command("ip", "-batch", "-")
	command.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("ip %v: %v: %s", lines, err, out)
	}
}

// dial connects from the namespace.
func (n namespace) dial(network, address string) (net.Conn, error) {
	type dialed struct {
		net.Conn
		error
	}
	done := make(chan dialed, 1)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil { //nolint:gosec // a file's number
			done <- dialed{nil, err}
			return
		}
		connection, err := net.DialTimeout(network, address, heddletest.Patience)
		done <- dialed{connection, err}
	}()
	d := <-done
	return d.Conn, d.error
}

// lan is a bridge, and hosts that are plugged into it.
type lan struct {
	t      *testing.T
	bridge namespace
	ports  int
}

func newLAN(t *testing.T) *lan {
	l := &lan{t: t, bridge: newNamespace(t)}
	l.bridge.ip(t, "link add lan type bridge", "link set lan up")
	return l
}

// plug makes a host's namespace with an address of 10.77.0.0/16.
func (l *lan) plug(address string) namespace {
	l.t.Helper()
	n := newNamespace(l.t)
	l.ports++
	port := fmt.Sprint("port", l.ports)
	l.bridge.ip(l.t, fmt.Sprintf("link add %s type veth peer name eth0 netns %s", port, n.path()), fmt.Sprintf("link set %s master lan up", port))
	n.ip(l.t, fmt.Sprintf("addr add %s/16 dev eth0", address), "link set eth0 up")
	return n
}
