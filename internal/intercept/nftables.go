package intercept

import (
	"bytes"
	"context"
	"os/exec"
	"slices"
	"strings"
	"unicode"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// nftables sets rules by nft, in a table of our own: it is replaced as a whole in one
// transaction of the kernel, both families together.
type nftables struct{ noIPv6 bool }

func (nftables) name() string { return string(NFT) }

// refuses says why nft and the kernel do not redirect in the ways that c does; it changes nothing.
func (n nftables) refuses(ctx context.Context, c Config) error {
	trial := Config{ProxyUsers: []uint32{DefaultProxyUser}, OutboundPort: 1, InboundPort: 2, TProxy: c.TProxy}
	if len(c.inbound()) > 0 {
		trial.Inbound = []mesh.Port{3}
	}
	_, err := n.run(ctx, Table(trial, n.noIPv6), "--check", "-f", "-")
	return err
}

func (n nftables) install(ctx context.Context, c Config) error {
	_, err := n.run(ctx, Table(c, n.noIPv6), "-f", "-")
	return err
}

func (n nftables) remove(ctx context.Context) error {
	rules, _, err := n.rules(ctx)
	if err != nil || len(rules) == 0 {
		return err
	}
	_, err = n.run(ctx, "", "delete table "+tableName)
	return err
}

func (n nftables) rules(ctx context.Context) (all, unknown []string, err error) {
	tables, err := n.run(ctx, "", "list tables")
	if err != nil || !slices.Contains(strings.Split(tables, "\n"), "table "+tableName) {
		return nil, nil, err
	}
	listed, err := n.run(ctx, "", "-n", "list table "+tableName)
	return content(listed), nil, err
}

func (n nftables) trial(ctx context.Context, c Config) ([]string, error) {
	listed, err := apart(ctx, Table(c, n.noIPv6), "sh", "-c", "nft -f - && nft -n list table "+tableName)
	return content(listed), err
}

// content are the lines of a table, without those that only close a brace. Each names
// its chain, so that one can be found by its line.
func content(listed string) []string {
	var all []string
	chain := ""
	for line := range strings.Lines(listed) {
		line = strings.TrimFunc(line, unicode.IsSpace)
		if name, opens := strings.CutSuffix(line, " {"); opens {
			chain = strings.TrimPrefix(name, "chain ")
			continue
		}
		if line != "" && line != "}" {
			all = append(all, chain+": "+line)
		}
	}
	return all
}

func (nftables) run(ctx context.Context, input string, arguments ...string) (string, error) {
	if !found("nft") {
		return "", mesh.Unavailable(nil, "nft is not here: install it (Debian: apt-get install nftables), or use iptables (--backend iptables)")
	}
	command := exec.CommandContext(ctx, "nft", arguments...)
	var said bytes.Buffer
	command.Stdin, command.Stderr = strings.NewReader(input), &said
	out, err := command.Output()
	if err != nil {
		return "", fault("nft", err, said.String())
	}
	return string(out), nil
}
