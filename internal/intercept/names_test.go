package intercept_test

import (
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/intercept"
)

// TestAMachineWithoutIPv4 is told that names of the mesh would lead nowhere; one
// without a network, or with both families, is not.
func TestAMachineWithoutIPv4(t *testing.T) {
	if !alone(t) {
		return
	}
	if err := intercept.NamesLeadHere(); err != nil {
		t.Errorf("before there is a network: %v", err)
	}
	run(t, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other")
	run(t, "ip", "link", "set", "eth0", "up")
	run(t, "ip", "link", "set", "other", "up")
	run(t, "ip", "addr", "add", "fd79::1/64", "dev", "eth0", "nodad")
	if err := intercept.NamesLeadHere(); err == nil || !strings.Contains(err.Error(), "no route for 241.0.0.0/8") || !strings.Contains(err.Error(), "--dns-port 0") {
		t.Errorf("with IPv6 alone: %v", err)
	}
	run(t, "ip", "addr", "add", "10.79.0.1/24", "dev", "eth0")
	if err := intercept.NamesLeadHere(); err == nil {
		t.Error("with an address of IPv4 and no route it is content")
	}
	run(t, "ip", "route", "add", "default", "via", "10.79.0.2")
	if err := intercept.NamesLeadHere(); err != nil {
		t.Errorf("with both: %v", err)
	}
}
