package hosts_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/moby/moby/client"

	"github.com/heddle-mesh/heddle/internal/dockerd"
	"github.com/heddle-mesh/heddle/internal/dockertest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
)

var rounds = flag.Int("rounds", 5, "changes of a kind that are timed; make bench-gossip has 100")

// files measures how long it takes from a file's change until the last host is told.
func (f *fleet) files() {
	f.measure("a file's change", func(i int) (where, func()) {
		h := f.list[rand.IntN(len(f.list))]
		name := fmt.Sprint("new-", i)
		h.begins(f.t, name, 2000+i)
		return where{h, name, 2000 + i}, func() { h.ends(f.t, name) }
	})
}

// containers measures how long it takes from a container's start, as its engine is told to,
// until the last host is told.
func (f *fleet) containers() {
	h := f.list[len(f.list)-1]
	f.measure("a container's start", func(i int) (where, func()) {
		name, port := fmt.Sprint("container-", i), 20000+i
		id, err := h.engine.Create(f.t.Context(), dockerd.Container{
			Name: name, Image: dockertest.Image, Ports: []string{fmt.Sprintf("%d:8080", port)},
			Labels: map[string]string{"heddle.name": name, "heddle.port.8080": "3000"},
		})
		if err == nil {
			_, err = h.engine.Client.ContainerStart(f.t.Context(), id, client.ContainerStartOptions{})
		}
		if err != nil {
			f.t.Fatal(err)
		}
		return where{h, name, port}, func() { h.engine.RemoveContainer(id) }
	})
}

// where a copy of a service runs.
type where struct {
	*host
	service string
	port    int
}

// measure times changes: begin has a service run somewhere, and says what ends it.
func (f *fleet) measure(what string, begin func(i int) (where, func())) {
	var found, spread, whole []time.Duration
	for i := range *rounds {
		start := time.Now()
		w, end := begin(i)
		own, err := w.told(w.host)
		last := own
		for _, other := range f.list {
			at, failed := w.told(other)
			if failed != nil {
				err = failed
			}
			if at.After(last) {
				last = at
			}
		}
		if err != nil {
			f.t.Fatal(err)
		}
		found, spread, whole = append(found, own.Sub(start)), append(spread, last.Sub(own)), append(whole, last.Sub(start))
		time.Sleep(time.Second)
		end()
		time.Sleep(time.Second) // so that it is quiet before the next
	}
	show := func(what string, list []time.Duration) time.Duration {
		slices.Sort(list)
		n := len(list)
		f.t.Logf("%s: median %v, p99 %v, worst of %d %v", what, list[n/2].Round(time.Millisecond/10), list[n*99/100].Round(time.Millisecond/10), n, list[n-1].Round(time.Millisecond/10))
		return list[n/2]
	}
	show(what+" to the host itself", found)
	show("from there to the last of 30 hosts", spread)
	if middle := show("both", whole); middle > 2*time.Second {
		f.t.Errorf("half of what began was routable on all hosts after %v only", middle)
	}
	agree(f.t, "after "+what, f.list)
}

// told waits until a host is told of the copy, and says when.
func (w where) told(other *host) (time.Time, error) {
	return other.has(w.service, fmt.Sprintf("%s:%d", w.address, w.port), heddletest.Patience)
}
