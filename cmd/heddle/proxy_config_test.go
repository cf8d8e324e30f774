package main

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// The table, and the differences, of a proxy with a bit of everything.
func TestProxyConfigIsReadable(t *testing.T) {
	const prefix = "type.googleapis.com/envoy.config."
	origin := &mesh.Origin{Object: "service/db", Author: "token:64e609af2ed3", Revision: 41}
	said := &mesh.ResourceRefusal{Node: "web/web-1", Message: "cannot bind '127.0.0.1:5432'\nAddress \x1b[31malready in use", Version: "bbbb9c01deadbee0", At: time.Now().Add(-time.Hour)}
	config := mesh.ProxyConfig{Node: "web/web-1", Resources: []mesh.ProxyResource{
		{Type: prefix + "cluster.v3.Cluster", Name: "orders", State: mesh.ResourceSynced, Held: "5f2a9c01deadbee0", Sent: "5f2a9c01deadbee0", Current: "5f2a9c01deadbee0", Newest: "5f2a9c01deadbee0"},
		{Type: prefix + "listener.v3.Listener", Name: "own.db.web", State: mesh.ResourceRefused, Held: "aaaa9c01deadbee0", Sent: "bbbb9c01deadbee0", Current: "aaaa9c01deadbee0", Newest: "bbbb9c01deadbee0",
			Reason: "a proxy refused the newest version: what it had stays in force", Origin: origin, Refusal: said, Diff: "diff held aaaa newest bbbb\n--- held aaaa\n+++ newest bbbb\n@@ -1,3 +1,3 @@\n {\n-  \"port\": 1\n+  \"port\": 2\n }\n"},
		{Type: prefix + "route.v3.RouteConfiguration", Name: "outbound.web", State: mesh.ResourceBehind, Held: "cccc9c01deadbee0", Sent: "cccc9c01deadbee0", Current: "dddd9c01deadbee0", Newest: "dddd9c01deadbee0", Origin: origin},
		{Type: prefix + "route.v3.RouteConfiguration", Name: "direct.old", State: mesh.ResourceAbsent, Reason: "the proxy asks for it, but nothing that is declared gives it to this proxy"},
	}}
	var out bytes.Buffer
	con := &cli.Console{Out: &out, Err: io.Discard}
	if err := (&proxyConfigCmd{Output: "table"}).print(con, config); err != nil {
		t.Fatal(err)
	}
	out.WriteString("\n===\n\n")
	config.Resources = config.Resources[1:3]
	if err := (&proxyConfigCmd{Output: "table", Diff: true}).print(con, config); err != nil {
		t.Fatal(err)
	}
	out.WriteString("\n===\n\n")
	if err := (&proxyConfigCmd{Output: "table", Diff: true}).print(con, mesh.ProxyConfig{Node: "web/web-1"}); err != nil {
		t.Fatal(err)
	}
	golden(t, "proxy_config", out.Bytes())
}
