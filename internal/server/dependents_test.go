package server_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// TestWhatOthersDependOnIsDeletedByForceAlone holds that the refusal names them, and
// that the audit does when it was forced.
func TestWhatOthersDependOnIsDeletedByForceAlone(t *testing.T) {
	w := newWorld(t)
	const path = "/api/v1/services/orders"
	w.declare(`{"name":"orders","owner":"team-shop","protocol":"http","port":8080,"dependencies":["orders"]}`)
	w.declare(`{"name":"web","owner":"team-web","protocol":"http","port":80,"dependencies":["orders"]}`)
	route := w.write("POST", "/api/v1/routes", `{"name":"shop","owner":"team-web","hosts":["shop.example.com"],"backends":[{"service":"web","weight":1}],"mirror":{"service":"orders"}}`)
	if route.status != 201 {
		t.Fatal(route.body)
	}
	for range 2 { // before and after the catalog knows
		got := w.write("DELETE", path, "")
		p := got.problem(t)
		var who []string
		for _, one := range p.Errors {
			who = append(who, one.Path)
		}
		if got.status != 409 || p.Reason != mesh.ReasonDependents || fmt.Sprint(who) != "[service/web route/shop]" || p.Revision == 0 {
			t.Errorf("%d %s", got.status, got.body)
		}
		w.seen()
	}
	for _, test := range []struct {
		query  string
		header []string
		status int
	}{
		{"?force=perhaps", nil, 422},
		{"?Force=true", nil, 422},
		{"?force=false", nil, 409},
		{"?force=true", []string{`If-Match: "1"`}, 409},
		{"?force=true", nil, 204},
		{"?force=true", nil, 404},
	} {
		if got := w.write("DELETE", path+test.query, "", test.header...); got.status != test.status {
			t.Errorf("%s %v: %d %s", test.query, test.header, got.status, got.body)
		}
	}
	got := w.write("GET", "/api/v1/audit?object=service/orders&limit=1", "")
	if want := `"dependents":["service/web","route/shop"]`; !strings.Contains(got.body, want) || !strings.Contains(got.body, `"action":"force-delete"`) {
		t.Errorf("the audit says %s", got.body)
	}
	// The last to depend on it goes first, and then nobody is in the way: also before
	// the catalog knows that.
	for _, path := range []string{"/api/v1/routes/shop", "/api/v1/services/web"} {
		if got := w.write("DELETE", path, ""); got.status != 204 {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}
