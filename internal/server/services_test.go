package server_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

const orders = `{"name":"orders","owner":"team-shop","protocol":"http","port":8080,"dependencies":["payments"]}`

func service(name mesh.ServiceName, dependencies ...mesh.ServiceName) mesh.Service {
	if dependencies == nil {
		dependencies = []mesh.ServiceName{}
	}
	return mesh.Service{Name: name, Owner: "team", Protocol: mesh.HTTP, Port: 8080, Dependencies: dependencies}
}

func TestLifeOfAService(t *testing.T) {
	w := newWorld(t)
	c := w.client(w.admin)
	ctx := t.Context()
	created, err := c.CreateService(ctx, service("orders", "payments"))
	if err != nil || created.Meta.Revision == 0 || created.Meta.Source != "rest" || !strings.HasPrefix(created.Meta.Author, "token:") {
		t.Fatalf("created %+v, %v", created, err)
	}
	if fmt.Sprint(created.Status.Pending) != "[payments]" {
		t.Errorf("pending %v", created.Status.Pending)
	}
	if _, err := c.CreateService(ctx, service("orders")); mesh.KindOf(err) != mesh.KindConflict {
		t.Errorf("created twice: %v", err)
	}
	if _, err := c.PutService(ctx, service("payments")); err != nil {
		t.Fatal(err)
	}
	got, err := c.Service(ctx, "orders") // at once: the catalog may not know payments yet
	if err != nil || len(got.Status.Pending) != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
	got.Description = "changed"
	changed, err := c.PutService(ctx, got.Service)
	if err != nil || changed.Meta.Revision <= created.Meta.Revision {
		t.Errorf("changed %+v, %v", changed, err)
	}
	if _, err := c.PutService(ctx, got.Service); mesh.KindOf(err) != mesh.KindConflict || !strings.Contains(err.Error(), fmt.Sprint(changed.Meta.Revision)) {
		t.Errorf("a stale write: %v", err)
	}
	if err := c.DeleteService(ctx, "orders", created.Meta.Revision); mesh.KindOf(err) != mesh.KindConflict {
		t.Errorf("a stale deletion: %v", err)
	}
	list, err := c.Services(ctx)
	if err != nil || len(list) != 2 || list[0].Name != "orders" || list[1].Name != "payments" {
		t.Errorf("list %v, %v", list, err)
	}
	if err := c.DeleteService(ctx, "orders", changed.Meta.Revision); err != nil {
		t.Error(err)
	}
	if _, err := c.Service(ctx, "orders"); mesh.KindOf(err) != mesh.KindNotFound {
		t.Errorf("after the deletion: %v", err)
	}
	if err := c.DeleteService(ctx, "orders", 0); mesh.KindOf(err) != mesh.KindNotFound {
		t.Errorf("deleted twice: %v", err)
	}
}

func TestWhatAGetAnsweredCanBeSentBack(t *testing.T) {
	w := newWorld(t)
	w.declare(orders)
	got := w.call("GET", "/api/v1/services/orders", "")
	if !strings.Contains(got.body, `"status":{"pending":["payments"]}`) {
		t.Fatalf("no pending dependency in %s", got.body)
	}
	back := w.write("PUT", "/api/v1/services/orders", got.body)
	if back.status != 200 || back.header.Get("ETag") == got.header.Get("ETag") {
		t.Errorf("%d %s", back.status, back.body)
	}
	again := w.write("PUT", "/api/v1/services/orders", got.body) // its meta.revision is stale now
	if p := again.problem(t); p.Status != 409 || p.Reason != mesh.ReasonStale || etagOf(p.Revision) != back.header.Get("ETag") || again.header.Get("ETag") != back.header.Get("ETag") {
		t.Errorf("%d %s", again.status, again.body)
	}
}

func etagOf(revision int64) string { return fmt.Sprintf("%q", fmt.Sprint(revision)) }

func TestConditionsOfWrites(t *testing.T) {
	w := newWorld(t)
	w.declare(orders)
	etag := w.call("GET", "/api/v1/services/orders", "").header.Get("ETag")
	const path = "/api/v1/services/orders"
	fresh := strings.Replace(orders, `"orders"`, `"new"`, 1)
	for _, c := range []struct {
		name, method, path, body, header string
		want                             int
	}{
		{"not quoted", "PUT", path, orders, "If-Match: " + strings.Trim(etag, `"`), 422},
		{"empty", "PUT", path, orders, "If-Match: ", 422},
		{"weak", "PUT", path, orders, "If-Match: W/" + etag, 422},
		{"two", "PUT", path, orders, `If-Match: "1", "2"`, 422},
		{"no number", "PUT", path, orders, `If-Match: "x"`, 422},
		{"negative", "PUT", path, orders, `If-Match: "-1"`, 422},
		{"huge", "PUT", path, orders, `If-Match: "99999999999999999999"`, 422},
		{"another revision in the body", "PUT", path, strings.Replace(orders, `{`, `{"meta":{"revision":1},`, 1), "If-Match: " + etag, 422},
		{"stale", "PUT", path, orders, `If-Match: "1"`, 409},
		{"create only, but it exists", "PUT", path, orders, "If-None-Match: *", 409},
		{"none-match with a tag", "PUT", path, orders, "If-None-Match: " + etag, 422},
		{"any, but there is none", "PUT", "/api/v1/services/new", fresh, "If-Match: *", 404},
		{"a revision, but there is none", "PUT", "/api/v1/services/new", fresh, `If-Match: "1"`, 409},
		{"deletion with none-match", "DELETE", path, "", "If-None-Match: *", 422},
		{"deletion of a stale one", "DELETE", path, "", `If-Match: "1"`, 409},
		{"fresh", "PUT", path, orders, "If-Match: " + etag, 200},
		{"any", "PUT", path, orders, "If-Match: *", 200},
		{"create only", "PUT", "/api/v1/services/new", fresh, "If-None-Match: *", 200},
		{"deletion of any", "DELETE", "/api/v1/services/new", "", "If-Match: *", 204},
	} {
		got := w.write(c.method, c.path, c.body, c.header)
		if got.status != c.want {
			t.Errorf("%s: %d %s", c.name, got.status, got.body)
		}
		if got.status >= 400 {
			got.problem(t)
		}
	}
}

func TestOfManyWritersOfOneRevisionExactlyOneWins(t *testing.T) {
	w := newWorld(t)
	w.declare(orders)
	for range 5 {
		etag := w.call("GET", "/api/v1/services/orders", "").header.Get("ETag")
		var wins, stale int
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				got := w.write("PUT", "/api/v1/services/orders", orders, "If-Match: "+etag)
				mu.Lock()
				defer mu.Unlock()
				switch got.status {
				case 200:
					wins++
				case 409:
					stale++
				}
			})
		}
		wg.Wait()
		if wins != 1 || stale != 7 {
			t.Fatalf("%d won, %d were refused", wins, stale)
		}
	}
}

func TestOfManyCreatorsExactlyOneWins(t *testing.T) {
	w := newWorld(t)
	statuses := make(chan int, 8)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { statuses <- w.write("POST", "/api/v1/services", orders).status })
	}
	wg.Wait()
	close(statuses)
	count := map[int]int{}
	for status := range statuses {
		count[status]++
	}
	if count[201] != 1 || count[409] != 7 {
		t.Errorf("got %v", count)
	}
}

func TestAWriteSentTwice(t *testing.T) {
	w := newWorld(t)
	for _, header := range []string{"Idempotency-Key: one", "X-Request-Id: two"} {
		name := strings.ReplaceAll(orders, "orders", "svc-"+header[len(header)-3:])
		first := w.write("POST", "/api/v1/services", name, header)
		second := w.write("POST", "/api/v1/services", name, header)
		if first.status != 201 || second.status != 201 || first.header.Get("ETag") != second.header.Get("ETag") {
			t.Errorf("%s: first %d %s, then %d %s", header, first.status, first.body, second.status, second.body)
		}
		other := w.write("POST", "/api/v1/services", strings.Replace(name, "8080", "8081", 1), header)
		if p := other.problem(t); p.Status != 409 || p.Reason != mesh.ReasonRequestReused {
			t.Errorf("%s with other content: %d %s", header, other.status, other.body)
		}
	}
	for _, bad := range []string{"a b", strings.Repeat("x", 129), "é"} {
		if got := w.write("POST", "/api/v1/services", orders, "Idempotency-Key: "+bad); got.status != 422 {
			t.Errorf("key %q: %d", bad, got.status)
		}
	}
	c := w.client(w.admin).WithRequestID("three")
	a, errA := c.PutService(t.Context(), service("three"))
	b, errB := c.PutService(t.Context(), service("three"))
	if err := errors.Join(errA, errB); err != nil || a.Meta.Revision != b.Meta.Revision {
		t.Errorf("by the client: %v, revisions %d and %d", err, a.Meta.Revision, b.Meta.Revision)
	}
}

func TestPortsThatOneSidecarCannotOpenTogether(t *testing.T) {
	w := newWorld(t)
	tcp := func(name string, port int) string {
		return fmt.Sprintf(`{"name":%q,"owner":"x","protocol":"tcp","port":%d,"dependencies":[]}`, name, port)
	}
	w.declare(tcp("ledger", 9000))
	w.declare(tcp("audit", 9000))
	w.declare(tcp("vault", 9001))
	w.declare(`{"name":"payments","owner":"x","protocol":"http","port":8080,"dependencies":["ledger","vault"]}`)
	w.seen()
	for _, c := range []struct{ name, body, path, names string }{
		{"two dependencies", `{"name":"books","owner":"x","protocol":"http","port":8080,"dependencies":["vault","ledger","audit"]}`, "dependencies[2]", "ledger audit 9000"},
		{"a callee moves onto another's port", tcp("vault", 9000), "port", "ledger payments"},
		{"the outbound listener's port", tcp("new", 15001), "port", "15001"},
		{"the same by listenerPort", `{"name":"new","owner":"x","protocol":"http","port":80,"listenerPort":15001,"dependencies":[]}`, "listenerPort", "15001"},
	} {
		name := c.body[len(`{"name":"`):strings.Index(c.body, `","owner`)]
		p := w.write("PUT", "/api/v1/services/"+name, c.body).problem(t)
		if p.Status != 422 || len(p.Errors) != 1 || p.Errors[0].Path != c.path {
			t.Errorf("%s: %+v", c.name, p)
			continue
		}
		for word := range strings.FieldsSeq(c.names) {
			if !strings.Contains(p.Errors[0].Message, word) {
				t.Errorf("%s: %q does not name %s", c.name, p.Errors[0].Message, word)
			}
		}
	}
	if got := w.write("PUT", "/api/v1/services/ledger", tcp("ledger", 9000)); got.status != 200 {
		t.Errorf("a service beside itself: %s", got.body)
	}
}

func TestAWriteSentManyTimesAtOnceHappensOnce(t *testing.T) {
	w := newWorld(t)
	answers := make(chan string, 8)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			got := w.write("POST", "/api/v1/services", orders, "Idempotency-Key: at-once")
			answers <- fmt.Sprint(got.status, got.header.Get("ETag"))
		})
	}
	wg.Wait()
	close(answers)
	different := map[string]bool{}
	for one := range answers {
		different[one] = true
	}
	if len(different) != 1 || different["409"] {
		t.Errorf("got %v", different)
	}
}
