package hosts_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/dockerd"
	"github.com/heddle-mesh/heddle/internal/dockertest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
)

// fleet is hosts with an agent each, the half of them in either part of the network.
type fleet struct {
	t    *testing.T
	lan  *lan
	key  string // file
	list []*host
}

// host is one of them; what it runs is in its file.
type host struct {
	*heddletest.Process
	*observer
	namespace
	name, address, file string
	services            map[string]int // port by name
	engine              *dockertest.Engine
}

func newFleet(t *testing.T, size int) *fleet {
	f := &fleet{t: t, lan: newLAN(t), key: keyFile(t)}
	for i := range size {
		h := f.add(fmt.Sprint("host-", i), fmt.Sprintf("10.77.%d.%d", i*2/size, i+1), f.key)
		h.services = map[string]int{"all": 1000, fmt.Sprint("only-", i): 1001}
		h.write(t)
		f.list = append(f.list, h)
		if i == size-1 {
			h.runsContainers(t)
		}
	}
	for _, h := range f.list {
		h.Run()
	}
	for _, h := range f.list {
		h.watch(t)
	}
	return f
}

func keyFile(t *testing.T) string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte(base64.StdEncoding.EncodeToString(key)), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// add makes a host that does not run yet.
func (f *fleet) add(name, address, key string) *host {
	dir := f.t.TempDir()
	h := &host{namespace: f.lan.plug(address), name: name, address: address, file: filepath.Join(dir, "services.json")}
	h.write(f.t)
	arguments := []string{"--name", name, "--address", address, "--key-file", key, "--proxy", "none", "--services", h.file, "--state-file", filepath.Join(dir, "state.json")}
	for i := range min(3, len(f.list)) {
		arguments = append(arguments, "--seed", f.list[i].address)
	}
	h.Process = heddle.Process(f.t, arguments...)
	h.Command = h.command
	return h
}

// runsContainers gives a host that does not run yet an engine.
func (h *host) runsContainers(t *testing.T) {
	h.engine = dockertest.Start(t, dockerd.Config{Network: h.Path()})
	h.Arguments = append(h.Arguments, "--docker", "--docker-host", "unix://"+h.engine.Socket)
}

// watch waits until a host runs, and follows what it is told.
func (h *host) watch(t testing.TB) {
	t.Helper()
	var ready struct {
		XDS string `json:"xds"`
	}
	h.AwaitReady(&ready)
	if h.observer != nil {
		h.stop()
	}
	h.observer = observe(t, h.namespace, ready.XDS)
}

func (h *host) write(t testing.TB) {
	t.Helper()
	list := []any{}
	for name, port := range h.services {
		list = append(list, map[string]any{"Service": map[string]any{"Name": name, "Ports": []any{map[string]any{"Port": port, "ServicePort": port}}}})
	}
	body, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.file+".new", body, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(h.file+".new", h.file); err != nil {
		t.Fatal(err)
	}
}

func (h *host) begins(t testing.TB, name string, port int) {
	h.services[name] = port
	h.write(t)
}

func (h *host) ends(t testing.TB, name string) {
	delete(h.services, name)
	h.write(t)
}

// agree waits until all these hosts are told exactly what these run, and says how long it took.
func agree(t *testing.T, what string, list []*host) time.Duration {
	t.Helper()
	since := time.Now()
	want := map[string][]string{}
	for _, h := range list {
		for name, port := range h.services {
			want[name] = append(want[name], fmt.Sprintf("%s:%d", h.address, port))
		}
	}
	for _, copies := range want {
		slices.Sort(copies)
	}
	for _, h := range list {
		heddletest.Eventually(t, h.name+" to agree "+what, func() error { return h.differs(want) })
	}
	took := time.Since(since)
	t.Logf("all agree %s after %v", what, took.Round(10*time.Millisecond))
	return took
}

// steady fails if hosts were told of more copies that went than allowed.
func steady(t *testing.T, what string, list []*host, allowed int) {
	t.Helper()
	lost := 0
	var told []string
	for _, h := range list {
		h.mu.Lock()
		if len(h.losses) > 0 {
			lost += len(h.losses)
			told = append(told, fmt.Sprintf("%s of %d: %v", h.name, len(h.losses), h.losses[:min(len(h.losses), 5)]))
		}
		h.mu.Unlock()
		h.since()
	}
	if lost > allowed {
		t.Errorf("%s: hosts were told that %d copies went, which run (%d may be): %v", what, lost, allowed, told)
	} else if lost > 0 {
		t.Logf("%s: hosts were told that copies went, which run: %v", what, told)
	}
}

// each does something on all of the hosts at once.
func each(list []*host, do func(*host)) {
	var all sync.WaitGroup
	for _, h := range list {
		all.Go(func() { do(h) })
	}
	all.Wait()
}
