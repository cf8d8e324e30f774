package intercept

import (
	"regexp"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/internal/hardening"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// UnitName is that of the unit of systemd that installs the rules at each start of
// the machine.
const UnitName = "heddle-intercept.service"

// Unit is the file of that unit: program is run with the arguments of heddle
// intercept install. Rules are there before services that are ordered after the network;
// a reload replaces them without a moment in which there are none.
func Unit(program string, arguments []string) (string, error) {
	for _, word := range append([]string{program}, arguments...) {
		if !plain.MatchString(word) {
			return "", &mesh.Error{Kind: mesh.KindInvalid, Message: "write " + UnitName + ": " + word + " has letters that systemd would read otherwise: use letters, digits and _./:=,@*+- only"}
		}
	}
	install := strings.Join(append([]string{program, "intercept", "install"}, arguments...), " ")
	return `# Made by heddle intercept install --persist, which writes it anew, and heddle intercept remove, which takes it away.
[Unit]
Description=Heddle's redirection of connections
Documentation=https://github.com/heddle-mesh/heddle/blob/main/docs/interception.md
Wants=network.target
After=network-pre.target nftables.service netfilter-persistent.service firewalld.service systemd-resolved.service systemd-networkd.service NetworkManager.service networking.service
Before=network.target network-online.target heddle-agent.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=` + install + `
ExecReload=` + install + `
ExecStop=` + program + ` intercept remove --keep-unit
TimeoutStartSec=60
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW
# The lock that all programs of iptables share is there.
ReadWritePaths=/run
MemoryDenyWriteExecute=yes
` + hardening.Lines("read-only") + `
[Install]
WantedBy=multi-user.target
`, nil
}

// plain words mean to systemd what they say.
var plain = regexp.MustCompile(`^[A-Za-z0-9_./:=,@*+-]+$`)

// UnitArguments are those of heddle intercept install in a unit's file; false: the file
// is not one that Unit made.
func UnitArguments(unit string) ([]string, bool) {
	for line := range strings.Lines(unit) {
		command, is := strings.CutPrefix(line, "ExecStart=")
		words := strings.Fields(command)
		if is && len(words) >= 3 && slices.Equal(words[1:3], []string{"intercept", "install"}) {
			return words[3:], true
		}
	}
	return nil, false
}
