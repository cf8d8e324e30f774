package intercept

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// iptables sets rules by one kind of iptables.
type iptables struct {
	kind   string // nft, legacy; "" where only the machine's default has programs
	noIPv6 bool
	log    *slog.Logger
}

func (k iptables) name() string { return strings.TrimSuffix("iptables-"+k.kind, "-") }

// install replaces the rules of an earlier run. Either all of it is in force
// afterwards, or what was before.
func (k iptables) install(ctx context.Context, c Config) error {
	return k.change(ctx, func(f Family, present string) string { return Rules(c, f, present) })
}

// remove takes the rules away, of both families whatever is installed now. Without
// any there is nothing to do.
func (k iptables) remove(ctx context.Context) error {
	for _, f := range []Family{IPv4, IPv6} {
		saved, err := k.save(ctx, f)
		if f == IPv6 && err != nil && mesh.KindOf(err) != mesh.KindDenied {
			k.log.Warn("it is not known whether there are rules, which stay if there are", "of", k.unknown(err))
			return nil
		}
		if err == nil {
			err = k.restore(ctx, f, Removal(saved))
		}
		if err == nil {
			err = k.unmake(ctx, f, saved)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// rules lists what there is of ours.
func (k iptables) rules(ctx context.Context) (all, unknown []string, err error) {
	for _, f := range []Family{IPv4, IPv6} {
		saved, err := k.save(ctx, f)
		if f == IPv6 && err != nil && mesh.KindOf(err) != mesh.KindDenied {
			return all, []string{k.unknown(err)}, nil
		}
		if err != nil {
			return nil, nil, err
		}
		for _, line := range ours(saved) {
			all = append(all, fmt.Sprintf("IPv%d %s", f, line))
		}
	}
	return all, nil, nil
}

// trial has a network namespace of its own take the rules, and lists them as this
// kind of iptables says them.
func (k iptables) trial(ctx context.Context, c Config) ([]string, error) {
	var all []string
	for _, f := range k.families() {
		restore, err := k.program(f, "restore")
		if f == IPv6 && err != nil {
			continue // nor is it known what there is: see rules
		}
		if err != nil {
			return nil, err
		}
		save := strings.TrimSuffix(restore, "restore") + "save"
		out, err := apart(ctx, Rules(c, f, ""), "sh", "-c", restore+" --noflush && "+save+" -t nat && "+save+" -t mangle")
		if err != nil {
			return nil, err
		}
		for _, line := range ours(out) {
			all = append(all, fmt.Sprintf("IPv%d %s", f, line))
		}
	}
	return all, nil
}

// ours are the chains and rules of ours in saved tables.
func ours(saved string) []string {
	var all []string
	for _, t := range []table{natTable, mangleTable} {
		all = append(all, t.ours(saved)...)
	}
	return all
}

func (t table) ours(saved string) []string {
	return slices.DeleteFunc(lines(saved, t.name), func(line string) bool {
		if strings.HasPrefix(line, ":"+madeChain+" ") { // the table's, not a rule
			return true
		}
		return !strings.HasPrefix(line, ":HEDDLE_") && (!strings.HasPrefix(line, "-A ") || !strings.Contains(line, "HEDDLE_"))
	})
}

// families are those that are redirected.
func (k iptables) families() []Family {
	switch {
	case k.noIPv6:
		return []Family{IPv4}
	case !hasIPv6():
		k.log.Debug("this machine has no IPv6: only IPv4 is redirected")
		return []Family{IPv4}
	}
	return []Family{IPv4, IPv6}
}

// change has the families that are redirected take what it makes of what is there. One
// that is left out has nothing of ours afterwards: an earlier run may have redirected it.
func (k iptables) change(ctx context.Context, of func(Family, string) string) error {
	redirected := k.families()
	var families []Family
	before := map[Family]string{}
	for _, f := range []Family{IPv4, IPv6} {
		saved, err := k.save(ctx, f)
		switch {
		case err == nil:
			families, before[f] = append(families, f), saved
		case slices.Contains(redirected, f):
			return err
		default: // the machine may have nothing for it, which is why it is left out
			k.log.Debug("it is not known whether an earlier run redirected a family that is left out", "family", f, "error", err)
		}
	}
	for i, f := range families {
		rules := Removal(before[f])
		if slices.Contains(redirected, f) {
			rules = k.marked(ctx, f, of(f, before[f]))
		}
		err := k.restore(ctx, f, rules)
		if err == nil && !slices.Contains(redirected, f) {
			err = k.unmake(ctx, f, before[f])
		}
		if err == nil {
			continue
		}
		for _, done := range families[:i+1] { // of this one a table may have been taken
			err = errors.Join(err, k.putBack(context.WithoutCancel(ctx), done, before[done]))
		}
		return err
	}
	return nil
}

// hasIPv6 says whether there are addresses of that family here.
func hasIPv6() bool {
	data, err := os.ReadFile("/proc/thread-self/net/if_inet6")
	return err == nil && len(data) > 0
}

// putBack makes our part of the tables what it was, in one step for each: at no time is
// less in force than before or now.
func (k iptables) putBack(ctx context.Context, f Family, before string) error {
	now, err := k.save(ctx, f)
	if err == nil {
		err = k.restore(ctx, f, earlier(before, now))
	}
	if err == nil && len(ours(before)) == 0 {
		err = k.unmake(ctx, f, now)
	}
	if err != nil {
		return fmt.Errorf("put back the rules of IPv%d: %w", f, err)
	}
	return nil
}

// earlier is what makes our part of the tables, as they are now, what it was before. The
// table that took calls comes first, as in Rules.
func earlier(before, now string) string {
	nat, mangle := natTable.again(before, now), mangleTable.again(before, now)
	if len(mangleTable.ours(before)) > 0 {
		return mangle + nat
	}
	return nat + mangle
}

// again is what makes our part of a table what it was.
func (t table) again(before, now string) string {
	var rules []*chainRules
	var jumps []string
	for _, line := range t.ours(before) {
		name, declared := strings.CutPrefix(line, ":")
		if declared {
			name, _, _ = strings.Cut(name, " ")
			rules = append(rules, &chainRules{chain: name})
			continue
		}
		rule := strings.TrimPrefix(line, "-A ")
		chain, what, _ := strings.Cut(rule, " ")
		if at := slices.IndexFunc(rules, func(one *chainRules) bool { return one.chain == chain }); at >= 0 {
			rules[at].rules = append(rules[at].rules, what)
		} else {
			jumps = append(jumps, rule)
		}
	}
	return t.replaced(now, rules, jumps)
}

// program finds one of iptables' programs.
func (k iptables) program(f Family, what string) (string, error) {
	name := "iptables-"
	if f == IPv6 {
		name = "ip6tables-"
	}
	if k.kind != "" {
		name += k.kind + "-"
	}
	name += what
	if _, err := exec.LookPath(name); err != nil {
		return "", mesh.Unavailable(err, "%s is not here: install iptables (Debian: apt-get install iptables), or have the rules that --dry-run prints applied by other means", name)
	}
	return name, nil
}

// save tells the tables nat and mangle.
func (k iptables) save(ctx context.Context, f Family) (string, error) {
	program, err := k.program(f, "save")
	if err != nil {
		return "", err
	}
	text := ""
	for _, t := range []table{natTable, mangleTable} {
		if k.kind == legacy && !legacyHas(f, t.name) {
			continue // to look would make an empty table
		}
		command := exec.CommandContext(ctx, program, "-t", t.name)
		var said bytes.Buffer
		command.Stderr = &said
		out, err := command.Output()
		if err != nil {
			return "", fault(program, err, said.String())
		}
		text += string(out)
	}
	return text, nil
}

// legacyHas says whether the kernel has a table of legacy iptables.
func legacyHas(f Family, table string) bool {
	file := "/proc/thread-self/net/ip_tables_names"
	if f == IPv6 {
		file = "/proc/thread-self/net/ip6_tables_names"
	}
	names, err := os.ReadFile(file)
	return (err == nil && slices.Contains(strings.Fields(string(names)), table)) || errors.Is(err, fs.ErrPermission)
}

// restore has the kernel take the rules in one step: all of them, or none.
func (k iptables) restore(ctx context.Context, f Family, rules string) error {
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
