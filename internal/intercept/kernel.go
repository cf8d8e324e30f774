package intercept

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Backend says by what rules are set.
type Backend string

// The backends.
const (
	Auto           Backend = "auto" // nft where it works, else iptables
	NFT            Backend = "nft"
	IPTables       Backend = "iptables" // of the kind that iptables is here
	IPTablesNFT    Backend = "iptables-nft"
	IPTablesLegacy Backend = "iptables-legacy"
)

// changeLimit is how long the kernel may take for new rules, the wait for others' locks
// among it.
const changeLimit = 45 * time.Second

const legacy = "legacy" // the kind of iptables

// Kernel is how rules reach it.
type Kernel struct {
	Backend Backend // "": Auto
	NoIPv6  bool    // leave IPv6 alone
	Log     *slog.Logger

	Patience time.Duration // how long ip may take for one thing; 0: 10 s
}

func (k Kernel) routing() routing { return routing{cmp.Or(k.Patience, ipLimit)} }

// backend sets the rules of both families in one way.
type backend interface {
	name() string
	install(context.Context, Config) error
	remove(context.Context) error
	rules(context.Context) (rules, unknown []string, err error) // what there is of ours, and of what that is not known, and why
	trial(context.Context, Config) ([]string, error)            // what rules would say after install
}

// Install redirects what the configuration says. Rules of an earlier run are
// replaced, whatever set them. Either all of it is in force afterwards, or what was before.
func (k Kernel) Install(ctx context.Context, c Config) error {
	if err := mesh.Invalid("intercept connections", c.Validate()); err != nil {
		return err
	}
	chosen, err := k.choose(ctx, c)
	if err != nil {
		return err
	}
	finish, undo, err := k.routing().prepare(ctx, c, k.families())
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return errors.Join(err, undo())
	}
	// A program that is killed once the kernel has taken the rules looks as if it had
	// failed: whoever ends this has it go on to a whole state.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeLimit)
	defer cancel()
	if err := chosen.install(ctx, c); err != nil {
		return errors.Join(err, undo())
	}
	return errors.Join(finish(), k.removeBut(ctx, chosen.name()))
}

// families are those that are redirected.
func (k Kernel) families() []Family {
	if k.NoIPv6 || !hasIPv6() {
		return []Family{IPv4}
	}
	return []Family{IPv4, IPv6}
}

// Remove takes the rules away, whatever set them. Without any there is nothing to do.
func (k Kernel) Remove(ctx context.Context) error {
	if err := k.removeBut(ctx, ""); err != nil {
		return err
	}
	has, err := k.routing().present(ctx) // after the rules that need them
	if err != nil {
		return err
	}
	return k.routing().become(ctx, has, nil)
}

func (k Kernel) removeBut(ctx context.Context, kept string) error {
	all := k.all(ctx)
	if len(all) == 0 {
		return nothingHere()
	}
	var faults error
	for _, one := range all {
		if one.name() == kept {
			continue
		}
		err := one.remove(ctx)
		if mesh.KindOf(err) == mesh.KindDenied && kept == "" {
			return err // nor may it the others
		}
		if err != nil && kept != "" {
			err = fmt.Errorf("the new rules are in force, but those of %s are too, if there were any: %w", one.name(), err)
		}
		faults = errors.Join(faults, err)
	}
	return faults
}

// OfRoutes stands in place of a backend for rules of routing, which redirect nothing by themselves.
const OfRoutes = "ip"

// Present is what the kernel has of ours, set by one backend.
type Present struct {
	Backend string   `json:"backend"`
	Rules   []string `json:"rules"` // as the backend's own program lists them
}

// State is what the kernel has, beside what it should have.
type State struct {
	Present []Present `json:"present"` // empty: nothing is redirected
	AsMeant bool      `json:"asMeant"` // the kernel has what the configuration asks for and nothing else of ours
	Missing []string  `json:"missing,omitempty"`
	Extra   []string  `json:"extra,omitempty"`
	Unknown []string  `json:"unknown,omitempty"` // what could not be looked at, and why
}

// Show compares what the kernel has of ours with what the configuration asks for, by
// the backend that set it unless k names one.
func (k Kernel) Show(ctx context.Context, c Config) (State, error) {
	if err := mesh.Invalid("intercept connections", c.Validate()); err != nil {
		return State{}, err
	}
	state := State{Present: []Present{}}
	var meant backend
	var blind []string // who cannot tell of IPv6
	for _, one := range k.all(ctx) {
		rules, unknown, err := one.rules(ctx)
		if err != nil {
			return State{}, err
		}
		if state.Unknown = append(state.Unknown, unknown...); len(unknown) > 0 {
			blind = append(blind, one.name())
		}
		if len(rules) > 0 {
			state.Present = append(state.Present, Present{one.name(), rules})
			meant = one
		}
	}
	if meant == nil || k.Backend != Auto && k.Backend != "" || len(state.Present) > 1 {
		var err error
		if meant, err = k.choose(ctx, c); err != nil {
			return State{}, err
		}
	}
	want, err := meant.trial(ctx, c)
	if err != nil {
		return State{}, fmt.Errorf("find what the rules should be, in a network namespace apart: %w", err)
	}
	state.compare(meant.name(), want)
	if slices.Contains(blind, meant.name()) && slices.Contains(k.families(), IPv6) {
		state.AsMeant = false
	}
	return state, state.compareRoutes(ctx, k.routing(), c.steers(k.families()))
}

// compareRoutes adds what the kernel has of ours in its routing.
func (s *State) compareRoutes(ctx context.Context, by routing, want []steer) error {
	has, err := by.present(ctx)
	if err != nil {
		return err
	}
	texts := func(list []steer) (out []string) {
		for _, one := range list {
			out = append(out, one.String())
		}
		slices.Sort(out)
		return out
	}
	there, meant := texts(has), texts(want)
	if len(there) > 0 {
		s.Present = append(s.Present, Present{OfRoutes, there})
	}
	s.Missing = append(s.Missing, slices.DeleteFunc(slices.Clone(meant), func(line string) bool { return slices.Contains(there, line) })...)
	s.Extra = append(s.Extra, slices.DeleteFunc(slices.Clone(there), func(line string) bool { return slices.Contains(meant, line) })...)
	s.AsMeant = s.AsMeant && slices.Equal(there, meant)
	return nil
}

func (s *State) compare(by string, want []string) {
	var has []string
	for _, one := range s.Present {
		if one.Backend == by {
			has = one.Rules
			continue
		}
		s.Extra = append(s.Extra, one.Rules...)
	}
	lacks := func(list []string) func(string) bool {
		return func(line string) bool { return slices.Contains(list, line) }
	}
	s.Missing = slices.DeleteFunc(slices.Clone(want), lacks(has))
	s.Extra = append(s.Extra, slices.DeleteFunc(slices.Clone(has), lacks(want))...)
	s.AsMeant = len(s.Extra) == 0 && slices.Equal(has, want) // their order matters, too
}

// choose gives the backend that sets these rules.
func (k Kernel) choose(ctx context.Context, c Config) (backend, error) {
	wanted := k.Backend
	if wanted == "" || wanted == Auto {
		wanted = IPTables
		nft := nftables{noIPv6: k.NoIPv6}
		refused := nft.refuses(ctx, c)
		switch {
		case refused == nil:
			return nft, nil
		case !found("iptables-restore") && !found("nft"):
			return nil, nothingHere()
		case !found("iptables-restore"):
			return nil, fmt.Errorf("iptables is not here, and nft cannot redirect: %w", refused)
		case found("nft") && mesh.KindOf(refused) != mesh.KindDenied:
			k.Log.Warn("nft is here, and iptables is taken: this kernel does not let nft redirect so", "error", refused)
		}
	}
	switch wanted {
	case NFT:
		return nftables{noIPv6: k.NoIPv6}, nil
	case IPTables:
		return k.iptables(kindHere(ctx)), nil
	default:
		return k.iptables(strings.TrimPrefix(string(wanted), "iptables-")), nil
	}
}

func (k Kernel) iptables(kind string) iptables {
	return iptables{kind: kind, noIPv6: k.NoIPv6, log: k.Log}
}

// all are the backends that may have set rules.
func (k Kernel) all(ctx context.Context) []backend {
	var list []backend
	if found("nft") {
		list = append(list, nftables{noIPv6: k.NoIPv6})
	}
	for _, kind := range []string{"nft", legacy} {
		if found("iptables-" + kind + "-save") {
			list = append(list, k.iptables(kind))
		}
	}
	if found("iptables-save") && kindHere(ctx) == "" {
		list = append(list, k.iptables(""))
	}
	return list
}

// kindHere is the kind that this machine's iptables is, if it has programs of their own.
func kindHere(ctx context.Context) string {
	said, err := exec.CommandContext(ctx, "iptables", "--version").Output()
	kind := legacy
	if strings.Contains(string(said), "nf_tables") {
		kind = "nft"
	}
	if err != nil || !found("iptables-"+kind+"-restore") {
		return ""
	}
	return kind
}

func found(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

func nothingHere() error {
	return mesh.Unavailable(nil, "neither nft nor iptables is here: install one (Debian: apt-get install nftables, or iptables), or have the rules that heddle intercept install --dry-run prints applied by other means")
}

// UsesNFT says whether Install would have nft set these rules.
func (k Kernel) UsesNFT(ctx context.Context, c Config) bool {
	chosen, err := k.choose(ctx, c)
	return err == nil && chosen.name() == string(NFT)
}
