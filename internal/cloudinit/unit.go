package cloudinit

import (
	"strings"

	"github.com/heddle-mesh/heddle/internal/hardening"
)

// unit is one of systemd.
type unit struct {
	file     string
	about    string
	page     string // of the documentation
	after    string // another unit, if it is there
	settings string // its environment file
	keeps    string // below /var/lib and /run
	own      string // more lines of [Service], before what it runs
	run      string
	envoy    bool // runs Envoy
}

// Where the documentation is.
const pages = "https://github.com/heddle-mesh/heddle/blob/main/docs/"

// units are those of all that runs on machines.
var units = []unit{
	{
		file: "heddle-server.service", about: "Heddle's control plane", page: "operations.md",
		settings: "server.env", keeps: "server",
		run: "/usr/local/bin/heddle server --data-dir /var/lib/heddle/server --admin-token-file /var/lib/heddle/server/admin-token $HEDDLE_FLAGS",
	},
	{
		file: "heddle-authz.service", about: "Heddle's AuthZ service", page: "authz.md", after: "heddle-server.service",
		settings: "authz.env", keeps: "authz", own: "Environment=HEDDLE_IDENTITY_DIR=/var/lib/heddle/authz\n",
		run: "/usr/local/bin/heddle authz $HEDDLE_FLAGS",
	},
	{
		file: "heddle-gateway.service", about: "Heddle's gateway", page: "gateway.md",
		settings: "gateway.env", keeps: "gateway", own: "Environment=HEDDLE_IDENTITY_DIR=/var/lib/heddle/gateway\n",
		run: "/usr/local/bin/heddle proxy --envoy /usr/local/bin/envoy $HEDDLE_FLAGS", envoy: true,
	},
	{
		file: "heddle-proxy@.service", about: "Heddle's sidecar of %i", page: "reference/proxy.md",
		settings: "proxy-%i.env", keeps: "proxy-%i", own: "Environment=HEDDLE_SERVICE=%i HEDDLE_IDENTITY_DIR=/var/lib/heddle/proxy-%i\n",
		run: "/usr/local/bin/heddle proxy --envoy /usr/local/bin/envoy $HEDDLE_FLAGS", envoy: true,
	},
	{
		file: "heddle-agent.service", about: "Heddle's agent of this host", page: "hosts.md",
		settings: "agent.env", keeps: "agent", own: "Environment=HEDDLE_ENVOY=/usr/local/bin/envoy\n",
		run: "/usr/local/bin/heddle-agent --state-file /var/lib/heddle/agent/state.json --ready-file /run/heddle/agent/ready.json $HEDDLE_FLAGS", envoy: true,
	},
}

// Units are the units of systemd by their file names.
func Units() map[string]string {
	out := map[string]string{}
	for _, u := range units {
		out[u.file] = u.text()
	}
	return out
}

// text is the unit's file.
func (u unit) text() string {
	var out strings.Builder
	after := "network-online.target"
	if u.after != "" {
		after += " " + u.after
	}
	out.WriteString(`# Made by hack/generate.sh: change it by a drop-in (systemctl edit), or in /etc/heddle/` + u.settings + `.
[Unit]
Description=` + u.about + `
Documentation=` + pages + u.page + `
Wants=network-online.target
After=` + after + `
StartLimitIntervalSec=0

[Service]
User=heddle
Group=heddle
EnvironmentFile=/etc/heddle/` + u.settings + `
` + u.own + `StateDirectory=heddle/` + u.keeps + `
StateDirectoryMode=0700
RuntimeDirectory=heddle/` + u.keeps + `
RuntimeDirectoryMode=0700
ExecStart=` + u.run + `
Restart=always
RestartSec=2
`)
	if u.envoy {
		out.WriteString(drains + portsBelow1024)
	} else {
		out.WriteString(noRights)
	}
	out.WriteString(hardening.Lines("yes") + `
[Install]
WantedBy=multi-user.target
`)
	return out.String()
}

const (
	// drains has SIGTERM go to heddle alone, which drains and then ends Envoy.
	drains = `# SIGTERM goes to heddle alone: it drains, then ends Envoy. More than --drain-timeout and 12 s.
KillMode=mixed
TimeoutStopSec=45
LimitNOFILE=262144
`
	// Envoy maps memory that it writes and runs, for the code that it compiles, and asks
	// what of it is mapped.
	portsBelow1024 = `AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
SystemCallFilter=mincore
`
	noRights = `TimeoutStopSec=30
LimitNOFILE=65536
CapabilityBoundingSet=
MemoryDenyWriteExecute=yes
PrivateUsers=yes
`
)
