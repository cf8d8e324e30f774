package server_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/server"
)

// A layout of a large mesh takes a core for long: few are made at a time, and who has a
// token does not wait for those who have none.
func TestLayoutsAreNotForEverybodyAtOnce(t *testing.T) {
	var asked atomic.Int32
	at, held := make(chan struct{}), make(chan struct{})
	w := newWorld(t, func(c *server.Config) {
		c.Observed = func(context.Context) (insight.Observed, error) {
			if asked.Add(1) == 1 {
				close(at)
				<-held
			}
			return insight.Observed{}, nil
		}
	})
	first := make(chan reply)
	go func() { first <- w.call("GET", "/api/v1/topology?layout=true", "") }()
	<-at
	if got := w.call("GET", "/api/v1/topology.svg", ""); got.status != 503 || got.header.Get("Retry-After") == "" || !strings.Contains(got.problem(t).Detail, "without a token") {
		t.Errorf("while a stranger's layout is made: %d %s", got.status, got.body)
	}
	if got := w.call("GET", "/api/v1/topology", ""); got.status != 200 {
		t.Errorf("a picture without a layout waits: %d %s", got.status, got.body)
	}
	for _, path := range []string{"/api/v1/topology?layout=true", "/api/v1/topology.svg"} {
		if got := w.write("GET", path, ""); got.status != 200 {
			t.Errorf("who has a token waits for strangers at %s: %d %s", path, got.status, got.body)
		}
	}
	close(held)
	if got := <-first; got.status != 200 {
		t.Errorf("the first: %d %s", got.status, got.body)
	}
}
