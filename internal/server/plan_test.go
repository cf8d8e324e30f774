package server_test

import (
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/server"
)

// What changes would change is much work: it takes a token, and few are at it at a time.
func TestPlansAreNotForEverybodyAtOnce(t *testing.T) {
	turns := insight.NewTurns()
	w := newWorld(t, func(c *server.Config) { c.Turns = turns })
	w.declare(orders)
	w.seen()
	for path, body := range map[string]string{"/api/v1/plan": `{"delete":["service/orders"]}`, "/api/v1/impact": orders} {
		if got := w.call("POST", path, body); got.status != 401 || !strings.Contains(got.problem(t).Detail, "access token") {
			t.Errorf("%s without a token: %d %s", path, got.status, got.body)
		}
		if got := w.write("POST", path, body); got.status != 200 {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	take := func(known bool) {
		done, err := turns.Take(t.Context(), known)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(done)
	}
	take(false)
	if got := w.call("GET", "/api/v1/services/orders/impact", ""); got.status != 503 || !strings.Contains(got.problem(t).Detail, "without a token") {
		t.Errorf("while another stranger asks: %d %s", got.status, got.body)
	}
	for _, got := range []reply{w.write("POST", "/api/v1/plan", `{"delete":["service/orders"]}`), w.write("GET", "/api/v1/services/orders/impact", "")} {
		if got.status != 200 {
			t.Errorf("who has a token waits for strangers: %d %s", got.status, got.body)
		}
	}
	take(true)
	take(true)
	for _, got := range []reply{
		w.write("POST", "/api/v1/plan", `{"delete":["service/orders"]}`),
		w.call("GET", "/api/v1/services/orders/impact", ""),
	} {
		if got.status != 503 || got.header.Get("Retry-After") == "" || !strings.Contains(got.problem(t).Detail, "ask again") {
			t.Errorf("while others are at it: %d %s", got.status, got.body)
		}
	}
}
