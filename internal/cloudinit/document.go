package cloudinit

import (
	_ "embed"
	"strings"
)

// Role is what a machine is in the mesh.
type Role string

// The roles.
const (
	ControlPlane Role = "control-plane"
	Gateway      Role = "gateway"
	Backend      Role = "backend"
)

// Roles are all of them.
var Roles = []Role{ControlPlane, Gateway, Backend}

//go:embed files/install.sh
var installScript string

//go:embed files/key-vault.sh
var keyVaultScript string

// document is a cloud-config that is being written.
type document struct{ writer }

// write writes the cloud-config of a role.
func write(w writer, role Role) {
	d := document{w}
	d.text("#cloud-config\n# A machine of the mesh: " + string(role) + ". Written by Heddle; docs/machines.md says more.\n")
	switch role {
	case ControlPlane:
		d.text("write_files:\n")
		d.controlPlane()
	case Gateway:
		d.text("write_files:\n")
		d.gateway()
	case Backend:
		d.backend()
	}
}

// controlPlane is a machine with a server.
func (d document) controlPlane() {
	d.installs(false)
	d.file("/etc/heddle/server.env", "0644", func() {
		d.text("      HEDDLE_TLS_LISTEN='")
		d.value("listen_address")
		d.text(":7443'\n      HEDDLE_XDS_TLS_LISTEN='")
		d.value("listen_address")
		d.text(":18443'\n")
		d.when("discovery", func() {
			d.line("      HEDDLE_FLAGS='--require-identity --discovery /etc/heddle/discovery.yaml ", "server_flags", "'")
		})
		d.unless("discovery", func() { d.line("      HEDDLE_FLAGS='--require-identity ", "server_flags", "'") })
		d.when("key_vault_url", func() { d.line("      HEDDLE_SECRETS='", "secrets", "'") })
	})
	d.when("discovery", func() {
		d.text("  - path: /etc/heddle/discovery.yaml\n    permissions: \"0644\"\n    encoding: b64\n    content: ")
		d.encoded("discovery")
		d.text("\n")
	})
	d.unit("heddle-server.service")
	d.keyVault()
	d.runs("", func() { d.text("heddle-server.service") })
}

// gateway is a machine with an Envoy at the edge.
func (d document) gateway() {
	d.installs(true)
	d.file("/etc/heddle/gateway.env", "0644", func() {
		d.line("      HEDDLE_GATEWAY='", "gateway", "'")
		d.joins(func() { d.text("gateway") })
		d.line("      HEDDLE_FLAGS='", "proxy_flags", "'")
	})
	d.unit("heddle-gateway.service")
	d.keyVault()
	d.token()
	d.runs("", func() { d.text("heddle-gateway.service") })
}

// backend is a machine with an application, and with its sidecar if there is a service.
func (d document) backend() {
	d.unless("service", func() {
		d.text("# No sidecar: this machine needs nothing of Heddle but its tags, by which a source of discovery finds it.\n")
		d.when("app_script", func() {
			d.text("write_files:\n")
			d.app()
			d.text("runcmd:\n  - [/usr/local/lib/heddle/app]\n")
		})
		d.unless("app_script", func() { d.text("{}\n") })
	})
	d.when("service", func() {
		d.text("write_files:\n")
		d.installs(true)
		d.text("  - path: \"/etc/heddle/proxy-")
		d.value("service")
		d.text(".env\"\n    permissions: \"0644\"\n    content: |\n")
		d.joins(func() { d.text("proxy-"); d.value("service") })
		d.when("app_port", func() {
			d.text("      HEDDLE_FLAGS='--app-port ")
			d.value("app_port")
			d.line(" ", "proxy_flags", "'")
		})
		d.unless("app_port", func() { d.line("      HEDDLE_FLAGS='", "proxy_flags", "'") })
		d.unit("heddle-proxy@.service")
		d.keyVault()
		d.token()
		d.when("app_script", d.app)
		d.runs("app_script", func() { d.text("heddle-proxy@"); d.value("service"); d.text(".service") })
	})
}

// app is the script that starts the application.
func (d document) app() {
	d.text("  - path: /usr/local/lib/heddle/app\n    permissions: \"0700\"\n    encoding: b64\n    content: ")
	d.encoded("app_script")
	d.text("\n")
}

// installs are the settings of what installs the programs, and that itself.
func (d document) installs(envoy bool) {
	d.file("/etc/heddle/install.env", "0644", func() {
		d.line("      HEDDLE_URL='", "heddle_url", "'")
		d.line("      HEDDLE_SHA256='", "heddle_sha256", "'")
		if envoy {
			d.line("      ENVOY_URL='", "envoy_url", "'")
			d.line("      ENVOY_SHA256='", "envoy_sha256", "'")
		}
	})
	d.fixed("/usr/local/lib/heddle/install", "0755", installScript)
	d.fixed("/etc/systemd/system/heddle-install.service", "0644", installUnit)
}

// joins are the settings of a proxy about its control plane and its identity; folder
// writes the name of its folder below /run/heddle.
func (d document) joins(folder func()) {
	d.line("      HEDDLE_SERVER='", "control_plane_url", "'")
	d.line("      HEDDLE_XDS='", "control_plane_xds", "'")
	d.line("      HEDDLE_REGION='", "region", "'")
	d.line("      HEDDLE_ZONE='", "zone", "'")
	d.when("key_vault_url", func() {
		d.text("      HEDDLE_JOIN_TOKEN_FILE='/run/heddle/")
		folder()
		d.text("/join-token'\n      HEDDLE_SECRETS='")
		d.value("join_secret")
		d.text("=join-token ")
		d.value("secrets")
		d.text("'\n")
	})
	d.unless("key_vault_url", func() {
		d.text("      HEDDLE_JOIN_TOKEN_FILE='/etc/heddle/join-token'\n")
	})
}

// token is the join token itself, where there is no Key Vault.
func (d document) token() {
	d.unless("key_vault_url", func() {
		d.text("  # Whoever may read the custom data of this machine can read this token: it has to be short-lived.\n")
		d.file("/etc/heddle/join-token", "0600", func() { d.line("      ", "join_token", "") })
	})
}

// keyVault has the unit before it fetch secrets before it starts.
func (d document) keyVault() {
	d.when("key_vault_url", func() {
		d.file("/etc/heddle/key-vault.env", "0644", func() {
			d.line("      HEDDLE_KEY_VAULT_URL='", "key_vault_url", "'")
			d.line("      HEDDLE_IDENTITY_CLIENT_ID='", "identity_client_id", "'")
		})
		d.fixed("/usr/local/lib/heddle/key-vault", "0755", keyVaultScript)
	})
}

// unit is one of systemd, and what it needs of the others here.
func (d document) unit(file string) {
	d.fixed("/etc/systemd/system/"+file, "0644", Units()[file])
	folder := "/etc/systemd/system/" + file + ".d/"
	d.fixed(folder+"install.conf", "0644", installDropIn)
	d.when("key_vault_url", func() { d.fixed(folder+"key-vault.conf", "0644", keyVaultDropIn) })
}

// runs starts the unit that name writes, after the script of the application, if it has one.
func (d document) runs(script string, name func()) {
	d.text("runcmd:\n")
	if script != "" {
		d.when(script, func() { d.text("  - [/usr/local/lib/heddle/app]\n") })
	}
	d.text("  - [systemctl, daemon-reload]\n  - [systemctl, enable, --now, --no-block, heddle-install.service, \"")
	name()
	d.text("\"]\n")
}

// file is a file of which content writes the lines, each with six spaces before it.
func (d document) file(path, mode string, content func()) {
	d.text("  - path: " + path + "\n    permissions: \"" + mode + "\"\n    content: |\n")
	content()
}

// fixed is a file that is always the same.
func (d document) fixed(path, mode, content string) {
	d.file(path, mode, func() {
		for line := range strings.Lines(content) {
			if line != "\n" {
				line = "      " + line
			}
			d.text(line)
		}
	})
}

// line ends a line of a file with a value.
func (d document) line(before, name, after string) {
	d.text(before)
	d.value(name)
	d.text(after + "\n")
}

// installUnit installs the programs at each start of the machine, unless they are there.
const installUnit = `[Unit]
Description=Install the programs of Heddle
Documentation=` + pages + `machines.md
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/lib/heddle/install
TimeoutStartSec=infinity

[Install]
WantedBy=multi-user.target
`

// installDropIn has a unit wait for the programs.
const installDropIn = `[Unit]
Requires=heddle-install.service
After=heddle-install.service
`

// keyVaultDropIn has a unit wait for its secrets. They are gone when it ends, and
// fetched anew whenever it starts.
const keyVaultDropIn = `[Service]
EnvironmentFile=/etc/heddle/key-vault.env
ExecStartPre=/usr/local/lib/heddle/key-vault $HEDDLE_SECRETS
TimeoutStartSec=infinity
`
