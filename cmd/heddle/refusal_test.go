package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/envoytest"
)

// A real Envoy refuses a listener whose port is taken: status names the fault,
// the declaration behind it and its author, and that it is mended afterwards.
func TestStatusShowsWhatEnvoyRefuses(t *testing.T) {
	envoy := envoytest.Path(t)
	s := newSession(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	web := "kind: Service\nname: web\nowner: team-web\nprotocol: http\nport: 80\ndependencies: [%s]\n"
	db := fmt.Sprintf("---\nkind: Service\nname: db\nowner: team-db\nprotocol: tcp\nport: %d\ndependencies: []\n", port)
	s.do(t, fmt.Sprintf(web, "")+db, "apply", "-f", "-")

	ready := filepath.Join(s.dir, "sidecar.json")
	sidecar := s.start("proxy", "--service", "web", "--instance", "web-1", "--xds", s.server.xds,
		"--envoy", envoy, "--ready-file", ready, "--outbound-port", fmt.Sprint(freePort(t)))
	t.Cleanup(func() {
		if code := sidecar.interrupt(t); code != cli.ExitOK {
			t.Errorf("the sidecar ended with %d: %s", code, sidecar.stderr.String())
		}
	})
	// Before it can serve, a port that is taken ends the sidecar instead.
	await(t, "the sidecar to serve", func() bool {
		_, err := os.Stat(ready)
		return err == nil && strings.Contains(s.do(t, "", "status"), "1 connected, all up to date")
	})

	s.do(t, fmt.Sprintf(web, "db"), "apply", "-f", "-")
	await(t, "the refusal", func() bool { return strings.Contains(s.do(t, "", "status"), "web/web-1 refused LDS") })
	table := s.do(t, "", "status", "web")
	for _, want := range []string{"1 behind", "refused LDS", "behind for", fmt.Sprintf("cannot bind '127.0.0.1:%d'", port), "because of service/db, written by token:"} {
		if !strings.Contains(table, want) {
			t.Errorf("%q is missing in:\n%s", want, table)
		}
	}
	var status meshStatus
	if err := json.Unmarshal([]byte(s.do(t, "", "status", "-o", "json")), &status); err != nil {
		t.Fatal(err)
	}
	if len(status.Proxies) != 1 || !status.Proxies[0].Behind {
		t.Errorf("JSON: %+v", status.Proxies)
	}

	s.do(t, fmt.Sprintf(web, ""), "apply", "-f", "-")
	await(t, "it to be mended", func() bool {
		table := s.do(t, "", "status")
		return strings.Contains(table, "all up to date") && strings.Contains(table, "mended since")
	})
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
