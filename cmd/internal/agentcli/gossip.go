package agentcli

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/gossip"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// gossipFlags say who the host is, and how it meets the others of its fleet.
type gossipFlags struct {
	Name          string   `placeholder:"NAME" help:"The host's name, unique in the fleet. Default: the machine's."`
	Address       string   `required:"" env:"HEDDLE_ADDRESS" placeholder:"IP" help:"The host's address, where the other hosts and their proxies reach it."`
	Port          int      `default:"7946" help:"Where hosts gossip, by UDP and TCP."`
	Seed          []string `env:"HEDDLE_SEEDS" placeholder:"HOST[:PORT]" help:"A host of the fleet to look for, at its port or else the one of --port. May be repeated; more than one, so that a fleet is found while one is away."`
	Fleet         string   `default:"default" placeholder:"NAME" help:"Hosts of another fleet are not heard."`
	KeyFile       string   `type:"path" placeholder:"FILE" help:"The keys that gossip is encrypted and proven by: 32 random bytes in base64, a line each; the first is used, all are understood. Read again when it changes."`
	InsecurePlain bool     `name:"insecure-gossip" help:"Gossip in plain text, without keys: whoever reaches the port can read and forge what hosts say."`
}

// gossipConfig reads them. again reads the keys anew; nil: there are none.
func (c *gossipFlags) gossipConfig(log *slog.Logger) (cfg gossip.Config, again func() (gossip.Keys, error), err error) {
	at, err := c.at()
	if err != nil {
		return cfg, nil, err
	}
	name := c.Name
	if name == "" {
		if name, err = os.Hostname(); err != nil {
			return cfg, nil, err
		}
	}
	keys, err := c.readKeys()
	if err != nil {
		return cfg, nil, err
	}
	if c.KeyFile != "" {
		again = c.readKeys
		if info, err := os.Stat(c.KeyFile); err == nil && info.Mode().Perm()&0o077 != 0 {
			log.Warn("others on this machine can read the file of keys, and with a key forge what hosts say: chmod 600", "file", c.KeyFile, "mode", info.Mode().Perm())
		}
	}
	return gossip.Config{Name: name, Bind: at, Seeds: c.Seed, Fleet: c.Fleet, Keys: keys, Logger: log}, again, nil
}

// at is where the host gossips, which the others are told.
func (c *gossipFlags) at() (at netip.AddrPort, err error) {
	address, err := netip.ParseAddr(c.Address)
	wrong := ""
	switch address = address.Unmap(); {
	case err != nil:
		wrong = "is no IP address"
	case address.IsUnspecified():
		wrong = "stands for all addresses"
	case address.IsMulticast(), address == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		wrong = "is no single host's"
	case address.Zone() != "":
		wrong = "has a zone, which is this host's alone"
	}
	if wrong != "" {
		return at, &cli.UsageError{Message: fmt.Sprintf("--address %q %s: use the one at which the other hosts reach this one, such as 10.0.0.1", c.Address, wrong)}
	}
	if c.Port < 0 || c.Port > 65535 {
		return at, &cli.UsageError{Message: fmt.Sprintf("--port %d is no port: use 1 to 65535, the same on all hosts, or 0 for a free one", c.Port)}
	}
	return netip.AddrPortFrom(address, uint16(c.Port)), nil
}

func (c *gossipFlags) readKeys() (gossip.Keys, error) {
	switch {
	case c.KeyFile == "" && !c.InsecurePlain:
		return nil, &cli.UsageError{Message: "--key-file is missing: hosts believe only who has the fleet's key (--insecure-gossip does without)"}
	case c.KeyFile == "":
		return nil, nil
	}
	body, err := os.ReadFile(c.KeyFile)
	if err != nil {
		return nil, err
	}
	keys, err := gossip.ParseKeys(body)
	if err != nil {
		return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: "--key-file " + c.KeyFile, Err: err}
	}
	return keys, nil
}
