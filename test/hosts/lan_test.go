// Package hosts_test plays a fleet of thirty hosts, each in a network namespace of its own
// on one bridge, with all the faults that networks and machines have.
package hosts_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/netnstest"
)

// heddle is without the race detector: thirty agents would need ten times the memory.
var heddle = heddletest.Program{Plain: true, Name: "heddle-agent"}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { heddle.Remove(); os.Exit(code) }))
}

// namespace is a network of its own.
type namespace struct{ netnstest.Namespace }

func newNamespace(t testing.TB) namespace {
	t.Helper()
	n := namespace{netnstest.New(t)}
	n.ip(t, "link set lo up")
	return n
}

// command is a program's in the namespace.
func (n namespace) command(program string, arguments ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--net=" + n.Path(), program}, arguments...)...)
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
func (n namespace) dial(network, address string) (connection net.Conn, err error) {
	err = n.Do(func() (err error) {
		connection, err = net.DialTimeout(network, address, heddletest.Patience)
		return err
	})
	return connection, err
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
	l.bridge.ip(l.t, fmt.Sprintf("link add %s type veth peer name eth0 netns %s", port, n.Path()), fmt.Sprintf("link set %s master lan up", port))
	n.ip(l.t, fmt.Sprintf("addr add %s/16 dev eth0", address), "link set eth0 up")
	return n
}
