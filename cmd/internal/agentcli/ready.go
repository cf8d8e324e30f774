package agentcli

import (
	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/agent"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// readyContent is what is in the ready file.
type readyContent struct {
	Host     string `json:"host"`
	Address  string `json:"address"`            // of gossip, host:port as all here
	XDS      string `json:"xds"`                // where the host's proxy is configured from
	API      string `json:"api,omitempty"`      // where it answers questions about the fleet
	Outbound string `json:"outbound,omitempty"` // where the proxy takes HTTP calls by host name
	Admin    string `json:"admin,omitempty"`    // Envoy's admin interface
	PID      int    `json:"pid,omitempty"`      // of the proxy
}

// tellReady gives what is to be called once the host can be reached and its proxy serves.
func (c *Agent) tellReady(file cli.ReadyFile, cfg *agent.Config) func(proxy.Status) error {
	content := readyContent{Host: cfg.Gossip.Name, Address: cfg.Gossip.Bind.String(), XDS: cfg.XDS.Addr().String()}
	if c.listener != nil {
		content.API = c.listener.Addr().String()
	}
	return func(proxy proxy.Status) error {
		c.ready.Store(true)
		content.Outbound, content.Admin, content.PID = cli.AddressText(proxy.Outbound), cli.AddressText(proxy.Admin), proxy.PID
		return file.Write(content)
	}
}
