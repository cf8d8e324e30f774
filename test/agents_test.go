package test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// fleetHost is one host of a fleet: an address of loopback, an agent with its Envoy,
// and the file of what the host runs.
type fleetHost struct {
	*heddletest.Process
	t        *testing.T
	name, ip string
	gossip   mesh.Port
	file     string
	ready    struct{ Host, Address, API, Outbound string }
}

// startHost starts a host's agent; seeds are hosts that it looks for.
func startHost(t *testing.T, number int, keys string, gossipPort mesh.Port, seeds ...*fleetHost) *fleetHost {
	t.Helper()
	return startHostWith(t, number, keys, gossipPort, nil, seeds...)
}

// startHostWith starts one with more flags.
func startHostWith(t *testing.T, number int, keys string, gossipPort mesh.Port, flags []string, seeds ...*fleetHost) *fleetHost {
	t.Helper()
	return startHostOf(t, &heddle, number, keys, gossipPort, append([]string{"agent"}, flags...), seeds...)
}

// startHostOf starts one of a program, by the words that have it run an agent, and more flags.
func startHostOf(t *testing.T, program *heddletest.Program, number int, keys string, gossipPort mesh.Port, words []string, seeds ...*fleetHost) *fleetHost {
	t.Helper()
	h := &fleetHost{t: t, name: fmt.Sprint("host-", number), ip: fmt.Sprint("127.77.0.", number), gossip: gossipPort, file: filepath.Join(t.TempDir(), "services.json")}
	h.runs()
	arguments := append(slices.Clone(words),
		"--name", h.name, "--address", h.ip, "--port", fmt.Sprint(gossipPort), "--proxy-address", h.ip, "--key-file", keys, "--services", h.file, "--envoy", envoytest.Path(t),
	)
	if !slices.Contains(words, "--api") {
		arguments = append(arguments, "--api", "none")
	}
	for _, seed := range seeds {
		arguments = append(arguments, "--seed", fmt.Sprintf("%s:%d", seed.ip, gossipPort))
	}
	h.Process = program.Start(t, arguments...)
	h.AwaitReady(&h.ready)
	return h
}

// hostService is one service in a host's file.
type hostService struct {
	Name              string
	Port, ServicePort mesh.Port
	Mode              string
	Check             map[string]any // nil: it is not checked
}

// gossipKey draws a key, as a line of a file of keys.
func gossipKey() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	return base64.StdEncoding.EncodeToString(key) + "\n"
}

// runs writes what the host runs.
func (h *fleetHost) runs(services ...hostService) {
	h.t.Helper()
	list := []any{}
	for _, s := range services {
		check := s.Check
		if check == nil {
			check = map[string]any{"Type": "none"}
		}
		list = append(list, map[string]any{"Check": check, "Service": map[string]any{
			"Name": s.Name, "ProxyMode": s.Mode, "Ports": []any{map[string]any{"Port": s.Port, "ServicePort": s.ServicePort}},
		}})
	}
	body, err := json.Marshal(list)
	if err != nil {
		h.t.Fatal(err)
	}
	beside := h.file + ".new"
	if err := os.WriteFile(beside, body, 0o600); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Rename(beside, h.file); err != nil {
		h.t.Fatal(err)
	}
}

// whoami answers with a name, at a host's address.
func (h *fleetHost) whoami(name string) mesh.Port {
	h.t.Helper()
	port := heddletest.FreePort(h.t)
	heddletest.Serve(h.t, net.JoinHostPort(h.ip, fmt.Sprint(port)), func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) })
	return port
}

// asks the host's proxy; a service of TCP has no header.
func (h *fleetHost) asks(port mesh.Port, header string) (answer, error) {
	got, err := ask(h.t, net.JoinHostPort(h.ip, fmt.Sprint(port)), header, "/")
	if err == nil && got.status != http.StatusOK {
		err = fmt.Errorf("%d: %s", got.status, got.body)
	}
	return got, err
}

// answers asks the host's proxy several times, and gives who answered.
func (h *fleetHost) answers(port mesh.Port, header string) (map[string]int, error) {
	seen := map[string]int{}
	for range 20 {
		got, err := h.asks(port, header)
		if err != nil {
			return seen, err
		}
		seen[got.body]++
	}
	return seen, nil
}

// reaches waits until a host's proxy reaches these copies of a service, and no others.
func (h *fleetHost) reaches(port mesh.Port, header string, want ...string) {
	h.t.Helper()
	heddletest.Eventually(h.t, fmt.Sprintf("%s at port %d to reach %v", h.name, port, want), func() error {
		seen, err := h.answers(port, header)
		if err != nil {
			return err
		}
		if len(seen) != len(want) {
			return fmt.Errorf("%v answered", seen)
		}
		for _, one := range want {
			if seen[one] == 0 {
				return fmt.Errorf("%v answered", seen)
			}
		}
		return nil
	})
}

// A fleet of hosts without any server: what one host runs is reached through the
// proxies of all, for as long as it runs and its host is there.
func TestHostsAreAMeshWithoutAServer(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte(gossipKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	port := heddletest.FreePort(t)
	one := startHost(t, 1, keys, port)
	two := startHost(t, 2, keys, port, one)
	three := startHost(t, 3, keys, port, one, two)
	web, db := heddletest.FreePort(t), heddletest.FreePort(t)

	first := hostService{Name: "who_am_i", Port: one.whoami("one"), ServicePort: web}
	one.runs(first)
	second := hostService{Name: "who_am_i", Port: two.whoami("two"), ServicePort: web, Mode: "ws"}
	two.runs(second, hostService{Name: "db", Port: two.whoami("db"), ServicePort: db, Mode: "tcp"})
	for _, h := range []*fleetHost{one, two, three} {
		h.reaches(web, "", "one", "two")
		h.reaches(db, "", "db")
	}
	_, outbound, _ := strings.Cut(three.ready.Outbound, ":")
	var byName mesh.Port
	if _, err := fmt.Sscan(outbound, &byName); err != nil {
		t.Fatalf("the ready file says %q: %v", three.ready.Outbound, err)
	}
	three.reaches(byName, "who-am-i.mesh", "one", "two")
	if _, err := three.asks(byName, "nobody.mesh:80"); err == nil || !strings.Contains(err.Error(), `404: heddle: no host of the fleet runs a service "nobody"`) {
		t.Errorf("a service that nobody runs: %v", err)
	}

	three.runs(hostService{Name: "late", Port: three.whoami("late"), ServicePort: web}) // a port that another has
	for _, h := range []*fleetHost{one, two, three} {
		heddletest.Eventually(t, h.name+" to tell of the port", func() error {
			if !strings.Contains(h.Log.String(), `is \"who-am-i\"'s, which had it first`) {
				return errors.New(h.Log.String())
			}
			return nil
		})
		h.reaches(web, "", "one", "two")
	}
	three.reaches(byName, "late", "late")
	three.runs()

	one.runs() // a service ends
	for _, h := range []*fleetHost{one, two, three} {
		h.reaches(web, "", "two")
	}
	one.runs(first)
	three.reaches(web, "", "one", "two")

	one.Kill() // a host dies, and its services live: nobody says that they are gone
	two.reaches(web, "", "two")
	one.Run()
	one.AwaitReady(&one.ready)
	for _, h := range []*fleetHost{one, two, three} {
		h.reaches(web, "", "one", "two")
	}
	two.End() // a host leaves
	three.reaches(web, "", "one")
	if _, err := three.asks(db, ""); err == nil {
		t.Error("a service that nobody runs any more is reached")
	}
}

// Who has another key is not believed, nor heard.
func TestHostsBelieveOnlyWhoHasTheirKey(t *testing.T) {
	keys := func() string {
		file := filepath.Join(t.TempDir(), "keys")
		if err := os.WriteFile(file, []byte(gossipKey()), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	port := heddletest.FreePort(t)
	ours := keys()
	one := startHost(t, 11, ours, port)
	stranger := startHost(t, 12, keys(), port, one)
	two := startHost(t, 13, ours, port, stranger, one)
	web := heddletest.FreePort(t)
	stranger.runs(hostService{Name: "web", Port: stranger.whoami("a stranger"), ServicePort: web})
	one.runs(hostService{Name: "web", Port: one.whoami("one"), ServicePort: web})
	two.reaches(web, "", "one")
	stranger.reaches(web, "", "a stranger")
	for range 20 {
		two.reaches(web, "", "one")
	}
	heddletest.Eventually(t, "the stranger to be told of", func() error {
		if log := one.Log.String(); !strings.Contains(log, "no installed keys could decrypt") {
			return fmt.Errorf("the log of a host that a stranger looked for:\n%s", log)
		}
		return nil
	})
}

// The key is changed in three steps, each on all hosts before the next, and no host is
// ever lost of sight.
func TestTheKeyOfAFleetIsChanged(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	write := func(keys ...string) {
		if err := os.WriteFile(file, []byte("# of this fleet\n"+strings.Join(keys, "")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before, after := gossipKey(), gossipKey()
	write(before)
	port, web := heddletest.FreePort(t), heddletest.FreePort(t)
	one := startHost(t, 21, file, port)
	two := startHost(t, 22, file, port, one)
	hosts := []*fleetHost{one, two}
	for step, keys := range [][]string{{before, after}, {after, before}, {after}} {
		write(keys...)
		for _, h := range hosts {
			heddletest.Eventually(t, fmt.Sprintf("%s to have the keys of step %d", h.name, step), func() error {
				if told := strings.Count(h.Log.String(), "the keys of gossip have been changed"); told != step+1 {
					return fmt.Errorf("told %d times:\n%s", told, h.Log.String())
				}
				return nil
			})
		}
		name := fmt.Sprint("after step ", step)
		one.runs(hostService{Name: "web", Port: one.whoami(name), ServicePort: web})
		two.reaches(web, "", name)
	}
	write("no key")
	heddletest.Eventually(t, "keys that are none to be told of", func() error {
		if !strings.Contains(one.Log.String(), "line 2 is not base64") {
			return errors.New(one.Log.String())
		}
		return nil
	})
	one.runs(hostService{Name: "web", Port: one.whoami("still"), ServicePort: web})
	two.reaches(web, "", "still")
	for _, h := range hosts {
		if strings.Contains(h.Log.String(), "host failed") {
			t.Errorf("%s lost another one:\n%s", h.name, h.Log.String())
		}
	}
}
