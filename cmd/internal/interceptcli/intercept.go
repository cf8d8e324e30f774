package interceptcli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/intercept"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Command is about the rules by which connections reach the proxy of a machine.
type Command struct {
	Install installCmd `cmd:"" help:"Redirect the connections of this machine's applications to its proxy."`
	Remove  removeCmd  `cmd:"" help:"Take the rules away, and what installs them at each start of the machine."`
	Show    showCmd    `cmd:"" help:"Show the rules that the kernel has, and how they differ from those that it should have."`
}

// installCmd sets the rules.
type installCmd struct {
	rules

	Persist bool `xor:"way" help:"Set them at each start of the machine, too, by a unit of systemd (heddle-intercept.service)."`
	DryRun  bool `xor:"way" help:"Print the rules as nft -f takes them, or iptables-restore and ip6tables-restore, and change nothing."`
}

// Help shows examples below the flags.
func (*installCmd) Help() string {
	return `Has the kernel redirect what the applications of this machine, container or pod connect to, and their DNS queries, to heddle proxy --intercept or heddle agent --intercept, and calls to their ports to it first. Needs root (in a container NET_ADMIN and NET_RAW) and nft or iptables. The rules are in a table, or in chains, of their own; run again, they are replaced. Without --persist they are gone after a restart of the machine.

The proxy runs as a user of its own (--proxy-uid), whose connections are left alone, as is what goes to this machine itself.

Examples:
  heddle intercept install --inbound-ports 8080
  heddle intercept install --inbound-ports 8080 --exclude-outbound-ports 5432 --exclude-outbound-cidrs 169.254.169.254/32
  heddle intercept install --exclude-user root --exclude-group backup --exclude-interface docker0 --persist
  heddle intercept install --only-user shop --dry-run
  heddle intercept install --inbound-ports 8080 --mode tproxy
  setpriv --reuid 1337 --regid 1337 --clear-groups heddle proxy --service web --app-port 8080 --intercept`
}

// Run sets the rules or prints them.
func (c *installCmd) Run(ctx context.Context, con *cli.Console, log *slog.Logger) error {
	config, err := c.config()
	if err != nil {
		return err
	}
	if err := mesh.Invalid("intercept connections", config.Validate()); err != nil {
		return cli.WrongFlags(err)
	}
	if c.DryRun {
		c.print(ctx, con, config, log)
		return nil
	}
	if config.DNSPort != 0 {
		if err := intercept.NamesLeadHere(); err != nil {
			return err
		}
	}
	if c.Persist {
		if err := c.persist(ctx, config, log); err != nil {
			return err
		}
	} else if err := c.kernel(log).Install(ctx, config); err != nil {
		return err
	}
	fmt.Fprintln(con.Out, c.summary(config))
	return nil
}

// summary says what is redirected now.
func (c *installCmd) summary(config intercept.Config) string {
	said := fmt.Sprintf("connections are redirected: out to port %d", config.OutboundPort)
	switch {
	case len(config.Inbound) == 0:
		said += ", calls to applications are left alone (no --inbound-ports)"
	case !config.TakesCalls():
		said += ", calls to applications are left alone (--exclude-inbound-ports has all of --inbound-ports)"
	case config.TProxy != nil:
		said += fmt.Sprintf(", in by TPROXY to port %d", config.InboundPort)
	default:
		said += fmt.Sprintf(", in to port %d", config.InboundPort)
	}
	if config.DNSPort != 0 {
		said += fmt.Sprintf(", DNS to port %d", config.DNSPort)
	}
	return said
}

func (c *installCmd) print(ctx context.Context, con *cli.Console, config intercept.Config, log *slog.Logger) {
	if config.TProxy != nil { // first: what the rules hand over would have no way
		fmt.Fprintf(con.Out, "# sh\n%s", intercept.Routes(config, c.NoIPv6))
	}
	if c.kernel(log).UsesNFT(ctx, config) {
		fmt.Fprintf(con.Out, "# nft -f -\n%s", intercept.Table(config, c.NoIPv6))
	} else {
		fmt.Fprintf(con.Out, "# iptables-restore --noflush\n%s", intercept.Rules(config, intercept.IPv4, ""))
		if !c.NoIPv6 {
			fmt.Fprintf(con.Out, "# ip6tables-restore --noflush\n%s", intercept.Rules(config, intercept.IPv6, ""))
		}
	}
}

// persist sets the rules now and at each start of the machine: neither if the kernel refuses them.
func (c *installCmd) persist(ctx context.Context, config intercept.Config, log *slog.Logger) error {
	program, err := os.Executable()
	if err == nil {
		program, err = filepath.EvalSymlinks(program)
	}
	if err != nil {
		return err
	}
	unit, err := intercept.Unit(program, c.arguments())
	if err != nil {
		return err
	}
	systemd := intercept.Systemd{}
	undo, err := systemd.Keep(ctx, unit)
	if err != nil {
		return err
	}
	if err := c.kernel(log).Install(ctx, config); err != nil {
		return errors.Join(err, undo())
	}
	if err := systemd.Start(ctx); err != nil {
		return fmt.Errorf("the rules are in force now, and %s, which is to set them at each start of the machine, does not start (journalctl -u %s): %w", intercept.UnitName, intercept.UnitName, err)
	}
	return nil
}

// removeCmd takes the rules away.
type removeCmd struct {
	KeepUnit bool `help:"Leave what installs them at each start of the machine (heddle-intercept.service), which runs this when it is stopped."`
}

// Help shows an example below the flags.
func (*removeCmd) Help() string {
	return `Takes away the rules of nft and of each kind of iptables, whatever set them; without any there is nothing to do. Others' rules are left alone.

Examples:
  heddle intercept remove`
}

// Run takes them away.
func (c *removeCmd) Run(ctx context.Context, con *cli.Console, log *slog.Logger) error {
	if !c.KeepUnit {
		if err := (intercept.Systemd{}).Forget(ctx); err != nil {
			return err
		}
	}
	if err := (intercept.Kernel{Log: log}).Remove(ctx); err != nil {
		return err
	}
	fmt.Fprintln(con.Out, "connections are no longer redirected")
	return nil
}
