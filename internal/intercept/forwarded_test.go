package intercept_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/netnstest"
)

// beside makes a network namespace that is joined to this process's own by a pair of
// interfaces, by way of which everything is reached.
func beside(t *testing.T, number int) netnstest.Namespace {
	t.Helper()
	n := netnstest.New(t)
	path := n.Path()
	here := fmt.Sprintf("side%d", number)
	ip := func(line string, within bool) {
		t.Helper()
		command := append([]string{"ip"}, strings.Fields(line)...)
		if within {
			command = append([]string{"nsenter", "--net=" + path}, command...)
		}
		run(t, command[0], command[1:]...)
	}
	ip("link add "+here+" type veth peer name eth0", false)
	ip("link set eth0 netns "+path, false)
	ip(fmt.Sprintf("addr add 10.79.%d.1/24 dev %s", number, here), false)
	ip(fmt.Sprintf("addr add fd79:%d::1/64 dev %s nodad", number, here), false)
	ip("link set "+here+" up", false)
	ip(fmt.Sprintf("addr add 10.79.%d.2/24 dev eth0", number), true)
	ip(fmt.Sprintf("addr add fd79:%d::2/64 dev eth0 nodad", number), true)
	ip("link set eth0 up", true)
	ip(fmt.Sprintf("route add default via 10.79.%d.1", number), true)
	ip(fmt.Sprintf("-6 route add default via fd79:%d::1", number), true)
	return n
}

// says has whoever connects to a listener told a text.
func says(t *testing.T, listener net.Listener, text string) {
	t.Helper()
	ended := make(chan struct{})
	t.Cleanup(func() { listener.Close(); <-ended })
	go func() {
		defer close(ended)
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(connection, text)
			connection.Close()
		}
	}()
}

// TestWhatAMachinePassesOnIsLeftAlone: on a router, or a host of containers, a call
// to another machine's port is not for the application here that has the same port.
func TestWhatAMachinePassesOnIsLeftAlone(t *testing.T) {
	if !alone(t) {
		return
	}
	for _, file := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
		if err := os.WriteFile("/proc/sys/net/"+file, []byte("1"), 0); err != nil {
			t.Skipf("this machine cannot be made a router: %v", err)
		}
	}
	caller, other := beside(t, 1), beside(t, 2)
	listen := func(port string) (listener net.Listener) {
		t.Helper()
		listener, err := net.Listen("tcp", ":"+port)
		if err != nil {
			t.Fatal(err)
		}
		return listener
	}
	says(t, listen("15006"), "the sidecar")
	says(t, listen("8080"), "the application, past its sidecar")
	var far net.Listener
	if err := other.Do(func() (err error) { far, err = net.Listen("tcp", ":8080"); return err }); err != nil {
		t.Fatal(err)
	}
	says(t, far, "the other machine")
	for _, kind := range backends {
		kernel := kernelBy(kind)
		if err := kernel.Install(t.Context(), usual()); err != nil {
			t.Fatal(err)
		}
		for address, want := range map[string]string{
			"10.79.2.2": "the other machine", "fd79:2::2": "the other machine",
			"10.79.1.1": "the sidecar", "fd79:1::1": "the sidecar",
		} {
			var got []byte
			if err := caller.Do(func() error {
				connection, err := net.DialTimeout("tcp", net.JoinHostPort(address, "8080"), 5*time.Second)
				if err != nil {
					return err
				}
				defer connection.Close()
				_ = connection.SetDeadline(time.Now().Add(5 * time.Second))
				got, err = io.ReadAll(connection)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			if string(got) != want {
				t.Errorf("%s: %s answers as %q, not as %q", kind, address, got, want)
			}
		}
		if err := kernel.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
