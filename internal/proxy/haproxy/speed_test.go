package haproxy

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

const rounds = 200

// What a change takes until a request is answered by what is new: a copy that takes
// another's place in the catalog, beside the same by one command to HAProxy and beside a
// reload. The request itself is in each. `make bench-haproxy` prints it.
func TestSpeed(t *testing.T) {
	if !*speed {
		t.Skip("a benchmark: make bench-haproxy")
	}
	s := newSide(t)
	at := heddletest.FreePort(t)
	copies := []mesh.Instance{s.whoami("web", "one"), s.whoami("web", "two")}
	s.declare(web("web", at))
	for i := range 99 { // others, that do not change
		name := mesh.ServiceName(fmt.Sprint("other-", i))
		s.declare(web(name, 0))
		s.has(copyAt(name, "a", "127.0.0.1", 1))
	}
	s.has(copies[0])
	s.run(func(cfg *Config) { cfg.ReloadInterval = time.Millisecond })
	s.reaches(at, "", "one")
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	until := func(name mesh.InstanceID) {
		for {
			if _, body, err := get(context.Background(), client, at, ""); err == nil && body == string(name) {
				return
			}
		}
	}
	measure := func(what string, n int, one func(i int)) {
		took := make([]time.Duration, n)
		for i := range n {
			began := time.Now()
			one(i)
			took[i] = time.Since(began)
			time.Sleep(2 * time.Millisecond) // it is quiet between changes
		}
		slices.Sort(took)
		fmt.Printf("%-52s p50 %7.2f ms   p99 %7.2f ms   (%d rounds)\n", what, took[n/2].Seconds()*1e3, took[n*99/100].Seconds()*1e3, n)
	}
	measure("a request", rounds, func(int) { until("one") })
	measure("catalog to the first request at another copy", rounds, func(i int) {
		next, last := copies[(i+1)%2], copies[i%2]
		gone := last
		gone.Health = mesh.Removed
		s.apply([]mesh.Change{{Instance: &next}, {Instance: &gone}, {Instance: &last, Deleted: true}})
		until(next.ID)
	})
	sockets, _ := filepath.Glob(filepath.Join(s.parent, "heddle-proxy-*", "runtime.*.sock"))
	slot := 1
	if !strings.Contains(s.file(), fmt.Sprintf("server s1 ipv4@127.0.0.1:%d weight 1 pool-purge-delay 1s\n", copies[rounds%2].Port)) {
		slot = 2
	}
	measure("floor: one bare command, and the first request", rounds, func(i int) {
		next := copies[(i+1+rounds)%2]
		if _, err := ask(context.Background(), sockets[0], fmt.Sprintf("set server http.web/s%d addr 127.0.0.1 port %d", slot, next.Port)); err != nil {
			t.Fatal(err)
		}
		until(next.ID)
	})
	measure("a service more: check, reload and first request", 20, func(i int) {
		name := mesh.ServiceName(fmt.Sprint("late-", i))
		s.services[name] = web(name, 0)
		one := copies[0]
		one.Service = name
		declared := s.services[name]
		s.apply([]mesh.Change{{Service: &declared}, {Instance: &one}})
		for {
			if _, body, err := get(context.Background(), client, s.port, string(name)); err == nil && body == "one" {
				return
			}
		}
	})
}
