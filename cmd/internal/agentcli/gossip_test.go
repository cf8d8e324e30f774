package agentcli

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
)

// Port 83482 was taken for 17946 without a word, and a host told the others that it is
// reached at 0.0.0.0.
func TestAHostIsNotToldToBeWhereNobodyReachesIt(t *testing.T) {
	for _, c := range []struct {
		address string
		port    int
		want    string // of the error, or of where it is
	}{
		{"10.0.0.1", 83482, "--port 83482 is no port"}, {"10.0.0.1", 65536, "is no port"}, {"10.0.0.1", -1, "is no port"},
		{"0.0.0.0", 7946, `--address "0.0.0.0" stands for all addresses: use the one at which`}, {"::", 7946, "stands for all"}, {"::ffff:0.0.0.0", 7946, "stands for all"},
		{"224.0.0.1", 7946, "no single host's"}, {"ff02::1", 7946, "no single host's"}, {"255.255.255.255", 7946, "no single host's"}, {"fe80::1%eth0", 7946, "has a zone"},
		{"10.0.0", 7946, "is no IP address"}, {"host-1", 7946, "is no IP address"}, {"", 7946, "is no IP address"},
		{"10.0.0.1", 65535, "10.0.0.1:65535"}, {"10.0.0.1", 0, "10.0.0.1:0"}, {"::ffff:10.0.0.1", 7946, "10.0.0.1:7946"}, {"fd00::1", 7946, "[fd00::1]:7946"}, {"127.0.0.2", 7946, "127.0.0.2:7946"},
	} {
		flags := gossipFlags{Name: "a", Address: c.address, Port: c.port, InsecurePlain: true}
		cfg, _, err := flags.gossipConfig(slog.New(slog.DiscardHandler))
		var usage *cli.UsageError
		switch {
		case err == nil && cfg.Bind.String() == c.want:
		case !errors.As(err, &usage) || !strings.Contains(err.Error(), c.want):
			t.Errorf("%s port %d: %v %v, to be %q", c.address, c.port, cfg.Bind, err, c.want)
		}
	}
}
