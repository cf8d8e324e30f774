package machines_test

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/heddletest"
)

// early is an application that is ordered after the network, as most are, and notes what
// the kernel has when it starts.
const early = `[Unit]
After=network.target
[Service]
Type=exec
ExecStart=sh -c 'nft list ruleset > /run/early; ip rule >> /run/early; ip -6 rule >> /run/early; exec sleep infinity'
[Install]
WantedBy=multi-user.target
`

// intercepts has the unit of heddle intercept live through what happens to a machine:
// rules are there before applications start, whenever it is switched on, and go with it.
func (h *unitHost) intercepts() {
	kernel := func() string {
		return h.run("nft", "list", "ruleset") + h.run("ip", "rule") + h.run("ip", "-6", "rule") + h.run("ip", "route", "show", "table", "all")
	}
	before, began := kernel(), time.Now()
	defer func() { h.t.Logf("interception took %v", time.Since(began).Round(time.Millisecond)) }()
	redirected := func(when, said string) {
		h.t.Helper()
		if !strings.Contains(said, "tcp dport 8081 ct direction original tproxy to :15006") || strings.Count(said, "sport 8081 lookup 133") != 2 {
			h.t.Errorf("%s, not redirected:\n%s\n%s", when, said, h.journal("heddle-intercept.service"))
		}
	}
	asMeant := func(when string) {
		h.t.Helper()
		redirected(when, kernel())
		if said := h.run("heddle-agent", "intercept", "show"); !strings.Contains(said, "by nft: what /etc/systemd/system/heddle-intercept.service asks for") {
			h.t.Errorf("%s: %s", when, said)
		}
	}
	h.file("early.service", early)
	h.run("systemctl", "enable", "early.service")
	h.run("heddle-agent", "intercept", "install", "--inbound-ports", "8081", "--mode", "tproxy", "--dns-port", "0", "--exclude-user", "heddle", "--persist")
	asMeant("installed")
	h.run("systemctl", "stop", "heddle-intercept")
	if left := kernel(); left != before {
		h.t.Errorf("stopped, and left:\n%s", left)
	}
	h.run("systemctl", "start", "heddle-intercept")
	h.run("nft", "flush", "ruleset") // a firewall is loaded anew
	h.run("systemctl", "reload", "heddle-intercept")
	asMeant("reloaded")

	h.off()
	network := fmt.Sprintf("--net=/proc/%d/ns/net", h.holder.Pid) // it outlives its systemd, as no kernel does
	host(h.t, "nsenter", network, "nft", "flush", "ruleset")
	host(h.t, "nsenter", network, "ip", "rule", "flush", "protocol", "237")
	host(h.t, "nsenter", network, "ip", "-6", "rule", "flush", "protocol", "237")
	h.on()
	heddletest.Eventually(h.t, "the application to start", func() error {
		if out, err := h.command(nil, "systemctl", "is-active", "early.service").CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %s", out, h.journal("early.service"))
		}
		return nil
	})
	heddletest.Eventually(h.t, "what it saw", func() error {
		if said, err := os.ReadFile(h.path("/run/early")); err != nil || strings.Count(string(said), "from all lookup local") != 2 {
			return fmt.Errorf("%s (%w)", said, err)
		}
		return nil
	})
	redirected("when the application started", h.read("/run/early"))
	asMeant("switched on")

	h.run("heddle-agent", "intercept", "remove")
	if left := kernel(); left != before {
		h.t.Errorf("removed, and left:\n%s", left)
	}
	if out, err := h.command(nil, "systemctl", "cat", "heddle-intercept").CombinedOutput(); err == nil {
		h.t.Errorf("the unit is there still: %s", out)
	}
	if links := h.run("find", "/etc/systemd/system", "-name", "heddle-intercept*"); links != "" {
		h.t.Errorf("left: %s", links)
	}
}
