package test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/heddletest"
)

// A host that HAProxy serves is one of the fleet: it reaches what others run, by port and
// by name, and nothing of its HAProxy outlives an agent that is killed.
func TestAHostIsServedByHAProxy(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte(gossipKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	port := heddletest.FreePort(t)
	one := startHost(t, 31, keys, port)
	two := startHost(t, 32, keys, port, one)
	two.End()
	two.Arguments = append(two.Arguments, "--proxy", "haproxy")
	two.Run()
	var ready struct {
		Outbound string
		PID      int
	}
	two.AwaitReady(&ready)
	web, db := heddletest.FreePort(t), heddletest.FreePort(t)
	one.runs(hostService{Name: "web", Port: one.whoami("one"), ServicePort: web}, hostService{Name: "db", Port: one.whoami("db"), ServicePort: db, Mode: "tcp"})
	two.runs(hostService{Name: "web", Port: two.whoami("two"), ServicePort: web})
	for _, h := range []*fleetHost{one, two} {
		h.reaches(web, "", "one", "two")
		h.reaches(db, "", "db")
	}
	_, outbound, _ := strings.Cut(ready.Outbound, ":")
	fmt.Sscan(outbound, &port) //nolint:errcheck // nothing is reached there then
	two.reaches(port, "web.mesh", "one", "two")
	one.runs()
	two.reaches(web, "", "two")

	children := func() (left []string) {
		files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, file := range files {
			line, err := os.ReadFile(file)
			folder, wrong := os.Readlink(filepath.Join(filepath.Dir(file), "cwd"))
			if err == nil && wrong == nil && strings.Contains(string(line), "haproxy") && strings.Contains(folder, "heddle-proxy-") && strings.HasPrefix(folder, os.TempDir()) {
				left = append(left, file)
			}
		}
		return left
	}
	if len(children()) < 2 {
		t.Errorf("HAProxy's processes: %v", children())
	}
	two.Kill()
	heddletest.Eventually(t, "HAProxy to end with its agent", func() error {
		if left := children(); len(left) > 0 {
			return fmt.Errorf("%v", left)
		}
		return nil
	})
	two.Run()
	two.AwaitReady(&ready)
	two.reaches(web, "", "two")
	two.End()
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "heddle-proxy-*", "haproxy.cfg")); len(left) > 0 || len(children()) > 0 {
		t.Error(errors.New("left behind"), left, children())
	}
}
