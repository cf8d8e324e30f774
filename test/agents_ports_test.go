package test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// A port that another process of the host has is told as a problem, also by an agent that
// starts meanwhile, and keeps no other service from being served; both end with it.
func TestAPortOfAnotherProcessIsTold(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte(gossipKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, proxy := range []string{"envoy", "haproxy"} {
		t.Run(proxy, func(t *testing.T) {
			t.Parallel()
			number := 41 + i
			ip := fmt.Sprint("127.77.0.", number)
			h := startHostWith(t, number, keys, heddletest.FreePort(t), []string{"--proxy", proxy, "--api", ip + ":7777"})
			thief, err := net.Listen("tcp", ip+":0")
			if err != nil {
				t.Fatal(err)
			}
			defer thief.Close()
			taken, web := mesh.Port(thief.Addr().(*net.TCPAddr).Port), heddletest.FreePort(t)
			services := []hostService{{Name: "A_DB", Mode: "tcp", Port: h.whoami("db"), ServicePort: taken}, {Name: "web", Port: h.whoami("web"), ServicePort: web}}
			h.runs(services...)
			said := fmt.Sprintf("host-%d A_DB %d this host does not listen for it: something else listens on %s:%d already: end it, or choose another port; until then the service is not called from here", number, taken, ip, taken)
			h.hasProblems(said)
			h.reaches(web, "", "web")
			h.Kill()
			h.Run()
			h.AwaitReady(&h.ready)
			h.hasProblems(said)
			h.reaches(web, "", "web")
			_ = thief.Close()
			h.reaches(taken, "", "db")
			h.hasProblems()
		})
	}
}

// hasProblems waits until these are the problems of which the host's agent tells.
func (h *fleetHost) hasProblems(want ...string) {
	h.t.Helper()
	heddletest.Eventually(h.t, fmt.Sprintf("the problems of %s to be %q", h.name, want), func() error {
		var list []struct {
			Host, Service, Message string
			Port                   mesh.Port
		}
		if err := h.agentAnswers("/api/v1/problems", &list); err != nil {
			return err
		}
		var has []string
		for _, p := range list {
			has = append(has, fmt.Sprint(p.Host, " ", p.Service, " ", p.Port, " ", p.Message))
		}
		if strings.Join(has, "\n") != strings.Join(want, "\n") {
			return fmt.Errorf("they are %q", has)
		}
		return nil
	})
}
