package docker

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/dockerd"
)

// An engine chooses ports for IPv4 and for IPv6 each by itself: hosts of both families
// are told the ports at which each container answers, and none that is another's.
func TestEachContainerAnswersAtItsOwnPort(t *testing.T) {
	e, _ := engineOf(t)
	ports := map[string][]string{
		"local": {"127.0.0.1::8080"}, "chosen": {"8080"}, "chosen-too": {"8080"}, // from here on the engine's own numbers of the families may differ
		"one": {"0.0.0.0:31002:8080", "[::]:31001:8080"}, "two": {"0.0.0.0:31001:8080", "[::]:31002:8080"},
		"four": {"0.0.0.0:31003:8080"}, "six": {"[::]:31004:8080"},
	}
	for _, name := range []string{"local", "chosen", "chosen-too", "one", "two", "four", "six"} {
		e.Whoami(dockerd.Container{Name: name, Env: []string{"NAME=" + name}, Labels: map[string]string{"ServiceName": name}, Ports: ports[name]})
	}
	all, err := list(t.Context(), e.Client)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ host, call, missing, want string }{
		{"10.0.0.1", "172.17.0.1", "six", "for IPv6 alone (::), and this host's address is of IPv4: publish it at 0.0.0.0 as well"},
		{"fd00::1", "::1", "four", "for IPv4 alone (0.0.0.0), and this host's address is of IPv6: publish it at [::] as well"},
	} {
		rules, found := plain, 0
		rules.Address = netip.MustParseAddr(test.host)
		for _, c := range all {
			one, is, faults := rules.service(c)
			name := strings.TrimPrefix(c.Names[0], "/")
			if want := map[string]string{test.missing: test.want, "local": "on the host's loopback alone"}[name]; want != "" {
				if is || len(faults) != 1 || !strings.Contains(faults[0], want) {
					t.Errorf("%s on %s: found as %+v, told %q", name, test.host, one, faults)
				}
				continue
			}
			if !is || len(faults) > 0 || len(one.Ports) != 1 {
				t.Fatalf("%s on %s: found as %+v, told %q", name, test.host, one, faults)
			}
			found++
			at := net.JoinHostPort(test.call, strconv.Itoa(int(one.Ports[0].Port)))
			var out []byte
			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
				if out, err = e.Command(t.Context(), "curl", "--silent", "--show-error", "--globoff", "http://"+at+"/").CombinedOutput(); err == nil || time.Now().After(deadline) {
					break
				}
			}
			if err != nil || string(out) != name {
				t.Errorf("%s on %s, called at %s: %v: %s answers; the engine lists %v", name, test.host, at, err, out, c.Ports)
			}
		}
		if found != 5 {
			t.Errorf("%d of 5 found on %s", found, test.host)
		}
	}
	// What is published for IPv6 alone is no container's in IPv4.
	if out, err := e.Command(t.Context(), "curl", "--silent", "--show-error", "http://172.17.0.1:31004/").CombinedOutput(); err == nil {
		t.Errorf("at the port of IPv6 alone: %s", out)
	}
}
