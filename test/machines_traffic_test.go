package test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/heddletest"
)

// traffic asks a gateway all the time, and remembers who answered when.
type traffic struct {
	mu     sync.Mutex
	seen   map[string]time.Time // guarded by mu
	sent   int                  // guarded by mu
	failed []string             // guarded by mu
	stop   func()
}

func startTraffic(t *testing.T, g *gateway, host string) *traffic {
	t.Helper()
	f := &traffic{seen: map[string]time.Time{}}
	ended := make(chan struct{})
	var workers sync.WaitGroup
	for range 3 {
		workers.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
				}
				got, err := ask(t, g.http, host, "/")
				f.mu.Lock()
				if f.sent++; err != nil || got.status != http.StatusOK {
					f.failed = append(f.failed, fmt.Sprint(got.status, got.body, err))
				} else {
					name, _, _ := strings.Cut(got.body, ",")
					f.seen[name] = time.Now()
				}
				f.mu.Unlock()
			}
		})
	}
	f.stop = sync.OnceFunc(func() { close(ended); workers.Wait() })
	t.Cleanup(f.stop)
	return f
}

// only waits until these machines answer, and nobody else has for a second.
func (f *traffic) only(t *testing.T, what string, numbers ...int) {
	t.Helper()
	began := time.Now()
	wanted := map[string]bool{}
	for _, one := range numbers {
		wanted[machineName(one)] = true
	}
	heddletest.Eventually(t, what, func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		for name := range wanted {
			if !f.seen[name].After(began) {
				return fmt.Errorf("%s has not answered; %d of %d requests have failed: %.200q", name, len(f.failed), f.sent, f.failed[:min(1, len(f.failed))])
			}
		}
		for name, at := range f.seen {
			if !wanted[name] && time.Since(at) < time.Second {
				return fmt.Errorf("%s answered", name)
			}
		}
		return nil
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	t.Logf("%-40s %5.1f s, %d requests, %d failed", what, time.Since(began).Seconds(), f.sent, len(f.failed))
}

// more waits for as many requests more.
func (f *traffic) more(t *testing.T, n int) {
	t.Helper()
	sent := func() int { f.mu.Lock(); defer f.mu.Unlock(); return f.sent }
	end := sent() + n
	heddletest.Eventually(t, fmt.Sprintf("%d requests more", n), func() error {
		if is := sent(); is < end {
			return fmt.Errorf("%d of %d", is, end)
		}
		return nil
	})
}

// none ends the requests: of all that there were, none failed.
func (f *traffic) none(t *testing.T) {
	t.Helper()
	f.stop()
	if len(f.failed) > 0 {
		t.Errorf("%d of %d requests failed, the first: %s", len(f.failed), f.sent, f.failed[0])
	}
}
