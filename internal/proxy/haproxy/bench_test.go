package haproxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// What a change takes until a request is answered by what is new: a copy that takes
// another's place in the catalog, beside the same by one command to HAProxy and beside a
// reload. The request itself is in each. `make bench-haproxy` runs it.
func BenchmarkChange(b *testing.B) {
	s := newSide(b)
	at := heddletest.FreePort(b)
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
	b.Cleanup(client.CloseIdleConnections)
	until := func(port mesh.Port, name string, who mesh.InstanceID) {
		for {
			if _, body, err := get(context.Background(), client, port, name); err == nil && body == string(who) {
				return
			}
		}
	}
	now := 0 // which copy is there
	b.Run("none, a request alone", func(b *testing.B) {
		measure(b, func() { until(at, "", copies[now].ID) })
	})
	b.Run("of the catalog", func(b *testing.B) {
		measure(b, func() {
			last, next := copies[now], copies[1-now]
			gone := last
			gone.Health = mesh.Removed
			s.apply([]mesh.Change{{Instance: &next}, {Instance: &gone}, {Instance: &last, Deleted: true}})
			now = 1 - now
			until(at, "", next.ID)
		})
	})
	b.Run("by a bare command", func(b *testing.B) {
		sockets, _ := filepath.Glob(filepath.Join(s.parent, "heddle-proxy-*", "runtime.*.sock"))
		var slot string
		s.eventually("the file to tell of the copy", func() error {
			line := regexp.MustCompile(fmt.Sprintf(`server (s\d+) ipv4@127\.0\.0\.1:%d weight 1 pool-purge-delay 1s tcp-ut 3000ms\n`, copies[now].Port))
			found := line.FindStringSubmatch(s.file())
			if found == nil {
				return errors.New("it does not")
			}
			slot = found[1]
			return nil
		})
		before := now
		move := func(to mesh.Instance) {
			if _, err := ask(context.Background(), sockets[0], fmt.Sprintf("set server http.web/%s addr 127.0.0.1 port %d", slot, to.Port)); err != nil {
				b.Fatal(err)
			}
		}
		measure(b, func() {
			now = 1 - now
			move(copies[now])
			until(at, "", copies[now].ID)
		})
		now = before // what the runner knows
		move(copies[now])
	})
	services := 0
	b.Run("of services, by a reload", func(b *testing.B) {
		measure(b, func() {
			services++
			declared, one := web(mesh.ServiceName(fmt.Sprint("late-", services)), 0), copies[now]
			one.Service = declared.Name
			s.services[declared.Name] = declared
			s.apply([]mesh.Change{{Service: &declared}, {Instance: &one}})
			until(s.port, string(declared.Name), one.ID)
		})
	})
}

// measure reports the median and the 99th percentile of what is done again and again, with
// quiet between.
func measure(b *testing.B, one func()) {
	took := make([]time.Duration, 0, b.N)
	for range b.N {
		began := time.Now()
		one()
		took = append(took, time.Since(began))
		time.Sleep(2 * time.Millisecond)
	}
	slices.Sort(took)
	b.ReportMetric(0, "ns/op") // with the quiet it says nothing
	b.ReportMetric(took[len(took)/2].Seconds()*1e3, "p50-ms")
	b.ReportMetric(took[len(took)*99/100].Seconds()*1e3, "p99-ms")
}
