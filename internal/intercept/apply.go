package intercept

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Kernel is how rules reach it.
type Kernel struct {
	Kind   Kind // of iptables
	NoIPv6 bool // leave IPv6 alone
	Log    *slog.Logger
}

// Kind is a kind of iptables; a machine's default is whatever its iptables is.
type Kind string

// The kinds.
const (
	DefaultKind Kind = ""
	NFTables    Kind = "nft"
	Legacy      Kind = "legacy"
)

// Apply redirects what the configuration says. Rules of an earlier run are
// replaced. Either all of it is in force afterwards, or what was before.
func (k Kernel) Apply(ctx context.Context, c Config) error {
	if err := mesh.Invalid("intercept connections", c.Validate()); err != nil {
		return err
	}
	return k.change(ctx, func(f Family, present string) string { return Rules(c, f, present) })
}

// Undo takes the rules away. Without any there is nothing to do.
func (k Kernel) Undo(ctx context.Context) error {
	return k.change(ctx, func(_ Family, present string) string { return Removal(present) })
}

// change has both families take what it makes of what is there.
func (k Kernel) change(ctx context.Context, of func(Family, string) string) error {
	families := []Family{IPv4, IPv6}
	switch {
	case k.NoIPv6:
		families = families[:1]
	case !hasIPv6():
		k.Log.Info("this machine has no IPv6: only IPv4 is redirected")
		families = families[:1]
	}
	before := map[Family]string{}
	for _, f := range families {
		saved, err := k.save(ctx, f)
		if err != nil {
			return err
		}
		before[f] = saved
	}
	for i, f := range families {
		err := k.restore(ctx, f, of(f, before[f]))
		if err == nil {
			continue
		}
		for _, done := range families[:i] {
			err = errors.Join(err, k.putBack(context.WithoutCancel(ctx), done, before[done]))
		}
		return err
	}
	return nil
}

// hasIPv6 says whether there are addresses of that family here.
func hasIPv6() bool {
	data, err := os.ReadFile("/proc/net/if_inet6")
	return err == nil && len(data) > 0
}

// putBack makes our part of the nat table what it was.
func (k Kernel) putBack(ctx context.Context, f Family, before string) error {
	now, err := k.save(ctx, f)
	if err == nil {
		err = k.restore(ctx, f, Removal(now))
	}
	if err == nil {
		err = k.restore(ctx, f, earlier(before))
	}
	if err != nil {
		return fmt.Errorf("put back the rules of IPv%d: %w", f, err)
	}
	return nil
}

// earlier gives the rules of ours in a saved table, to be restored.
func earlier(saved string) string {
	var chains, rules []string
	for _, line := range lines(saved) {
		switch {
		case strings.HasPrefix(line, ":HEDDLE_"):
			chains = append(chains, line)
		case strings.HasPrefix(line, "-A ") && strings.Contains(line, "HEDDLE_"):
			rules = append(rules, line)
		}
	}
	if len(chains) == 0 {
		return ""
	}
	return "*nat\n" + strings.Join(append(chains, rules...), "\n") + "\nCOMMIT\n"
}

// program finds one of iptables' programs.
func (k Kernel) program(f Family, what string) (string, error) {
	name := "iptables-"
	if f == IPv6 {
		name = "ip6tables-"
	}
	if k.Kind != DefaultKind {
		name += string(k.Kind) + "-"
	}
	name += what
	if _, err := exec.LookPath(name); err != nil {
		return "", mesh.Unavailable(err, "%s is not here: install iptables (Debian: apt-get install iptables), or have the rules that --dry-run prints applied by other means", name)
	}
	return name, nil
}

// save tells the nat table.
func (k Kernel) save(ctx context.Context, f Family) (string, error) {
	program, err := k.program(f, "save")
	if err != nil {
		return "", err
	}
	command := exec.CommandContext(ctx, program, "-t", "nat")
	var said bytes.Buffer
	command.Stderr = &said
	out, err := command.Output()
	if err != nil {
		return "", fault(program, err, said.String())
	}
	return string(out), nil
}

// restore has the kernel take the rules in one step: all of them, or none.
func (k Kernel) restore(ctx context.Context, f Family, rules string) error {
	if rules == "" {
		return nil
	}
	program, err := k.program(f, "restore")
	if err != nil {
		return err
	}
	command := exec.CommandContext(ctx, program, "--noflush", "--wait", "10")
	command.Stdin = strings.NewReader(rules)
	if said, err := command.CombinedOutput(); err != nil {
		return fault(program, err, string(said))
	}
	return nil
}

// fault says why a program failed, in its words.
func fault(program string, err error, said string) error {
	said = strings.TrimSpace(said)
	if strings.Contains(said, "you must be root") || strings.Contains(said, "Permission denied") || strings.Contains(said, "Operation not permitted") {
		return mesh.Denied("%s: this user may not redirect connections: run it as root, in a container with the capabilities NET_ADMIN and NET_RAW (%s)", program, said)
	}
	return mesh.Unavailable(err, "%s failed: %s", program, said)
}
