package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/cloudinit"
)

// cloudInitFlags are of heddle bootstrap --cloud-init: what the machine is, what it
// installs, and how it joins. Of the sidecar's flags it takes --service, --app-port,
// --region and --zone.
type cloudInitFlags struct {
	CloudInit bool   `help:"Print a cloud-config instead: the custom data or user data by which a virtual machine joins the mesh at its first boot."`
	Role      string `of:"cloud-init" enum:"server,gateway,backend," default:"" placeholder:"ROLE" help:"What the machine is: server, gateway, or backend (an application with its sidecar)." empty:"fine"`

	HeddleURL    string `of:"cloud-init" name:"heddle-url" placeholder:"URL" help:"Where the machine fetches the program heddle from."`
	HeddleSHA256 string `of:"cloud-init" name:"heddle-sha256" placeholder:"SUM" help:"The SHA-256 sum of that file; nothing else is run."`
	EnvoyURL     string `of:"cloud-init" name:"envoy-url" placeholder:"URL" help:"Where it fetches Envoy from: the binary itself, no archive."`
	EnvoySHA256  string `of:"cloud-init" name:"envoy-sha256" placeholder:"SUM" help:"The SHA-256 sum of that file."`

	ControlPlaneURL string `of:"cloud-init" name:"control-plane-url" placeholder:"URL" help:"The control plane's REST API over TLS, https://HOST:7443."`
	ControlPlaneXDS string `of:"cloud-init" name:"control-plane-xds" placeholder:"HOST:PORT,..." help:"xDS of the control planes over TLS, HOST:18443; several are tried by turns."`

	ListenAddress string `of:"cloud-init" placeholder:"IP" help:"Where a server listens. Default: all addresses."`
	Discovery     string `of:"cloud-init" type:"path" placeholder:"FILE" help:"The file that heddle server --discovery is to have there."`
	ServerFlags   string `of:"cloud-init" placeholder:"FLAGS" help:"More flags of heddle server, in one argument with =."`

	Gateway    string `of:"cloud-init" placeholder:"NAME" help:"The name of the gateway."`
	ProxyFlags string `of:"cloud-init" placeholder:"FLAGS" help:"More flags of heddle proxy, in one argument with =."`
	NoSidecar  bool   `of:"cloud-init" help:"A backend that a source of discovery finds by its tags: nothing of Heddle is installed."`
	AppScript  string `of:"cloud-init" type:"path" placeholder:"FILE" help:"A script that installs and starts the application of a backend; run there once, as root, before the sidecar."`

	JoinTokenFile    string            `of:"cloud-init" type:"path" placeholder:"FILE" help:"File here that holds the join token. It goes into what is printed: let it be short-lived, or keep it in a Key Vault."`
	KeyVault         string            `of:"cloud-init" name:"key-vault" placeholder:"URL" help:"The Azure Key Vault that the machine fetches its secrets from, with its managed identity."`
	JoinSecret       string            `of:"cloud-init" placeholder:"NAME" help:"The secret there that holds the join token."`
	Secret           map[string]string `of:"cloud-init" mapsep:"none" placeholder:"NAME=FILE" help:"One more secret of the Key Vault, which becomes /run/heddle/gateway/FILE (server, proxy-SERVICE). May be repeated."`
	IdentityClientID string            `of:"cloud-init" name:"identity-client-id" placeholder:"UUID" help:"The client ID of the managed identity, if the machine has several."`
}

// beside are the sidecar's flags that say something of the machine, too.
var besideCloudInit = []string{"cloud-init", "service", "app-port", "region", "zone"}

// checkCloudInit refuses flags that are of the other documents.
func (c *bootstrapCmd) checkCloudInit(parsed *kong.Context) error {
	var wrong []string
	for _, step := range parsed.Path {
		if step.Flag == nil || !c.flagOf(step.Flag) {
			continue
		}
		if own := step.Flag.Tag.Get("of") == "cloud-init"; own != c.CloudInit && !slices.Contains(besideCloudInit, step.Flag.Name) {
			wrong = append(wrong, "--"+step.Flag.Name)
		}
	}
	switch {
	case len(wrong) == 0:
		return nil
	case c.CloudInit:
		return cli.UsageOf(parsed, strings.Join(wrong, ", ")+": not with --cloud-init: leave it out, or give it in --proxy-flags")
	}
	return cli.UsageOf(parsed, strings.Join(wrong, ", ")+": only with --cloud-init")
}

// cloudConfig prints the cloud-config of a machine.
func (c *bootstrapCmd) cloudConfig(parsed *kong.Context, con *cli.Console) error {
	role, is := map[string]cloudinit.Role{"server": cloudinit.ControlPlane, "gateway": cloudinit.Gateway, "backend": cloudinit.Backend}[c.Role]
	switch {
	case !is:
		return cli.UsageOf(parsed, "missing flags: --role=server, gateway or backend")
	case role == cloudinit.Backend && c.Service == "" && !c.NoSidecar:
		return cli.UsageOf(parsed, "missing flags: --service=NAME, or --no-sidecar for a backend that is found by its tags")
	case c.NoSidecar && (role != cloudinit.Backend || c.Service != ""):
		return cli.UsageOf(parsed, "--no-sidecar is for a backend alone, without --service: its tags name its service")
	}
	values, err := c.cloudInitValues(role)
	if err != nil {
		return err
	}
	text, err := cloudinit.Config(role, values)
	if err != nil {
		return &cli.UsageError{Message: err.Error()}
	}
	if c.JoinTokenFile != "" {
		fmt.Fprintln(con.Err, "warning: what is printed holds the join token. Whoever may read the custom data of the machine, or a file that you write it to, can join with it until it is used up or has expired: let it live for minutes, or use --key-vault")
	}
	_, err = con.Out.Write([]byte(text))
	return err
}

// cloudInitValues are the flags by the names of variables.
func (c *bootstrapCmd) cloudInitValues(role cloudinit.Role) (map[string]string, error) {
	values := map[string]string{
		"heddle_url": c.HeddleURL, "heddle_sha256": strings.ToLower(c.HeddleSHA256),
		"envoy_url": c.EnvoyURL, "envoy_sha256": strings.ToLower(c.EnvoySHA256),
		"control_plane_url": c.ControlPlaneURL, "control_plane_xds": c.ControlPlaneXDS, "region": c.Region, "zone": c.Zone,
		"listen_address": c.ListenAddress, "server_flags": c.ServerFlags, "gateway": c.Gateway, "service": c.Service, "proxy_flags": c.ProxyFlags,
		"key_vault_url": c.KeyVault, "join_secret": c.JoinSecret, "identity_client_id": c.IdentityClientID,
	}
	if role == cloudinit.ControlPlane && c.ListenAddress == "" {
		values["listen_address"] = "0.0.0.0"
	}
	if c.AppPort != nil {
		values["app_port"] = strconv.Itoa(*c.AppPort)
	}
	var secrets []string
	for name, file := range c.Secret {
		secrets = append(secrets, name+"="+file)
	}
	slices.Sort(secrets)
	values["secrets"] = strings.Join(secrets, " ")
	if c.Discovery != "" {
		if _, err := readDiscovery(c.Discovery); err != nil {
			return nil, err
		}
	}
	for name, file := range map[string]string{"discovery": c.Discovery, "app_script": c.AppScript, "join_token": c.JoinTokenFile} {
		if file == "" {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if values[name] = string(data); name == "join_token" {
			values[name] = strings.TrimSpace(values[name])
		}
	}
	return values, nil
}

// flagOf says whether a flag is of this command, and not of every one.
func (c *bootstrapCmd) flagOf(flag *kong.Flag) bool { return flag.Group == nil && flag.Name != "help" }
