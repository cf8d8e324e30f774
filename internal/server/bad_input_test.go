package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/server"
)

// TestBadInput sends everything that a caller can get wrong. Each answer is a
// problem with the right status, and leaves nothing behind.
func TestBadInput(t *testing.T) {
	w := newWorld(t)
	const services, route = "/api/v1/services", "/api/v1/routes/shop"
	instance := `{"service":"orders","id":"o-1","address":"10.0.0.7","port":8080}`
	big := `{"name":"orders","owner":"x","protocol":"http","port":1,"dependencies":[],"description":"` + strings.Repeat("x", 1<<20) + `"}`
	for _, c := range []struct {
		name, method, path, body string
		want                     int
		words                    string // in the detail, or a fault "path: message"
	}{
		{"no JSON", "POST", services, `{"name":`, 400, "not valid JSON"},
		{"HTML", "POST", services, `<html>`, 400, "not valid JSON"},
		{"empty body", "POST", services, ``, 400, "empty"},
		{"two values", "POST", services, orders + orders, 400, "not valid JSON"},
		{"not UTF-8", "POST", services, "{\"name\":\"\xff\"}", 400, "UTF-8"},
		{"UTF-16", "POST", services, "\xfe\xff\x00{", 400, "UTF-8"},
		{"NUL in the text", "POST", services, "{\x00}", 400, "not valid JSON"},
		{"null", "POST", services, `null`, 422, "wants an object"},
		{"a list", "POST", services, `[` + orders + `]`, 422, "wants an object"},
		{"deep", "POST", services, strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000), 422, "nested deeper"},
		{"very deep", "POST", services, strings.Repeat(`[`, 500000), 400, "nested deeper"},
		{"unknown field", "POST", services, strings.Replace(orders, "owner", "ownr", 1), 422, `ownr: is not a field here; did you mean "owner"?`},
		{"field given twice", "POST", services, strings.Replace(orders, "{", `{"name":"a",`, 1), 422, "name: is given twice"},
		{"wrong type", "POST", services, strings.Replace(orders, "8080", `"8080"`, 1), 422, "port: wants a whole number"},
		{"number too large", "POST", services, strings.Replace(orders, "8080", "1e99", 1), 422, "port: wants a whole number"},
		{"port out of range", "POST", services, strings.Replace(orders, "8080", "70000", 1), 422, "port: 70000 is not a port"},
		{"bad name", "POST", services, strings.Replace(orders, `"orders"`, `"Orders!"`, 1), 422, "name: "},
		{"name with a path", "POST", services, strings.Replace(orders, `"orders"`, `"../x"`, 1), 422, "name: "},
		{"name with NUL", "POST", services, strings.Replace(orders, `"orders"`, `"a\u0000b"`, 1), 422, "name: "},
		{"name in other letters", "POST", services, strings.Replace(orders, `"orders"`, `"órders"`, 1), 422, "name: "},
		{"no dependencies", "POST", services, `{"name":"a","owner":"x","protocol":"http","port":1}`, 422, "dependencies: is required"},
		{"bad dependency", "POST", services, strings.Replace(orders, "payments", "Pay ments", 1), 422, "dependencies[0]: "},
		{"dependency given twice", "POST", services, strings.Replace(orders, `["payments"]`, `["a","a"]`, 1), 422, "dependencies[1]: "},
		{"duration without a unit", "POST", services, strings.Replace(orders, "{", `{"traffic":{"timeout":5},`, 1), 422, "traffic.timeout: "},
		{"over 1 MiB", "POST", services, big, 413, "1 MiB"},
		{"other name in the path", "PUT", services + "/web", orders, 422, `name: is "orders", but the path says "web"`},
		{"bad name in the path", "GET", services + "/Orders", "", 422, "name: "},
		{"slash in the name", "GET", services + "/a%2Fb", "", 422, "name: "},
		{"NUL in the path", "GET", services + "/a%00b", "", 422, "name: "},
		{"not UTF-8 in the path", "GET", services + "/%ff", "", 422, "name: "},
		{"long name", "DELETE", services + "/" + strings.Repeat("a", 5000), "", 422, "name: "},
		{"climbing", "GET", services + "/../tokens", "", 404, "dotted"},
		{"climbing, escaped", "GET", services + "/%2e%2e/tokens", "", 404, "dotted"},
		{"two slashes", "GET", "/api//v1/services", "", 404, "empty"},
		{"slash at the end", "GET", services + "/", "", 404, "slash"},
		{"no such path", "GET", "/nothing/here", "", 404, "/docs"},
		{"no such version", "GET", "/api/v2/services", "", 404, "/docs"},
		{"no such service", "GET", services + "/nobody", "", 404, "nobody"},
		{"no such method", "PATCH", services, orders, 405, "PATCH"},
		{"strange method", "BREW", services, "", 405, "BREW"},
		{"no such route", "GET", route, "", 404, "shop"},
		{"route without anything", "PUT", route, `{}`, 422, "owner: is required"},
		{"runtime without values", "PUT", "/api/v1/runtime", `{}`, 422, "values: is required"},
		{"runtime with a list", "PUT", "/api/v1/runtime", `{"values":{"a":[1]}}`, 422, "values.a: wants"},
		{"instance with a host name", "POST", "/api/v1/instances", strings.Replace(instance, "10.0.0.7", "host", 1), 422, "address: "},
		{"instance with a wrong ttl", "POST", "/api/v1/instances", strings.Replace(instance, "{", `{"ttl":"1ms",`, 1), 422, "ttl: "},
		{"instance with a negative ttl", "POST", "/api/v1/instances", strings.Replace(instance, "{", `{"ttl":"-5s",`, 1), 422, "ttl: "},
		{"instance without a service", "POST", "/api/v1/instances", `{"id":"a","address":"10.0.0.1","port":1}`, 422, "service: "},
		{"empty batch", "POST", "/api/v1/instances", `{"instances":[]}`, 422, "instances: is empty"},
		{"batch with more", "POST", "/api/v1/instances", `{"instances":[` + instance + `],"port":1}`, 422, "port: is not a field"},
		{"batch with the same twice", "POST", "/api/v1/instances", `{"instances":[` + instance + `,` + instance + `]}`, 422, "instances[1].id: is given twice"},
		{"batch that is no list", "POST", "/api/v1/instances", `{"instances":1}`, 422, "instances: wants a list"},
		{"batch too large", "POST", "/api/v1/instances", `{"instances":[` + strings.Repeat(instance+",", 200) + instance + `]}`, 422, "instances: has 201"},
		{"health that no instance has", "PUT", "/api/v1/instances/orders/o-1/health", `{"health":"removed"}`, 422, "health: "},
		{"health of nobody", "PUT", "/api/v1/instances/orders/o-1/health", `{"health":"draining"}`, 404, "orders/o-1"},
		{"lease without epoch", "PUT", "/api/v1/instances/orders/o-1/lease", `{}`, 422, "epoch: is required"},
		{"lease of nobody", "PUT", "/api/v1/instances/orders/o-1/lease", `{"epoch":"1"}`, 404, "orders/o-1"},
		{"deregistration of nobody", "DELETE", "/api/v1/instances/orders/o-1?epoch=1", "", 404, "orders/o-1"},
		{"bad instance ID", "DELETE", "/api/v1/instances/orders/a%20b", "", 422, "id: "},
		{"events since a word", "GET", "/api/v1/events?since=now", "", 422, "query.since: "},
		{"events since a negative", "GET", "/api/v1/events?since=-1", "", 422, "query.since: "},
		{"misspelt parameter", "DELETE", "/api/v1/instances/orders/o-1?epcoh=1", "", 422, "query.epcoh: is not a parameter"},
		{"parameter that is not text", "GET", services + "?%ff%00=1", "", 422, `query.?\x00: is not`},
		{"empty epoch", "DELETE", "/api/v1/instances/orders/o-1?epoch=", "", 422, "query.epoch: is empty"},
		{"empty epoch in the body", "PUT", "/api/v1/instances/orders/o-1/health", `{"health":"draining","epoch":""}`, 422, "epoch: is empty"},
		{"token for a bad service", "POST", "/api/v1/tokens", `{"service":"A B"}`, 422, "service: "},
		{"no such token", "DELETE", "/api/v1/tokens/x", "", 404, "token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := w.write(c.method, c.path, c.body)
			if got.status != c.want {
				t.Fatalf("%d %.300s", got.status, got.body)
			}
			p := got.problem(t)
			said := []string{p.Detail}
			for _, fault := range p.Errors {
				said = append(said, fault.Path+": "+fault.Message)
			}
			if !strings.Contains(strings.Join(said, "\n"), c.words) {
				t.Errorf("%q does not say %q", said, c.words)
			}
			if len(got.body) > 4096 {
				t.Errorf("an answer of %d bytes", len(got.body))
			}
		})
	}
	for _, path := range []string{services, "/api/v1/instances", "/api/v1/routes"} {
		if got := w.call("GET", path, ""); !strings.Contains(got.body, `"items":[]`) {
			t.Errorf("%s holds %s", path, got.body)
		}
	}
}

func TestEveryFaultIsReportedAtOnce(t *testing.T) {
	w := newWorld(t)
	p := w.write("POST", "/api/v1/services", `{"name":"A","port":0,"dependencies":["x","x"],"protocol":"smtp"}`).problem(t)
	var paths []string
	for _, fault := range p.Errors {
		paths = append(paths, fault.Path)
	}
	if got := strings.Join(paths, " "); got != "name owner protocol port dependencies[1]" {
		t.Errorf("got %s", got)
	}
}

func TestBodyOfExactly1MiBIsRead(t *testing.T) {
	w := newWorld(t)
	frame := `{"name":"a"}`
	body := frame + strings.Repeat(" ", 1<<20-len(frame))
	if got := w.write("POST", "/api/v1/services", body); got.status != 422 {
		t.Errorf("%d %.200s", got.status, got.body)
	}
}

func TestMethodsThatAPathHas(t *testing.T) {
	w := newWorld(t)
	if got := w.call("POST", "/api/v1/services/orders", ""); got.status != 405 || got.header.Get("Allow") != "DELETE, GET, HEAD, PUT" {
		t.Errorf("%d, Allow %q", got.status, got.header.Get("Allow"))
	}
	if got := w.call("HEAD", "/api/v1/services", ""); got.status != 200 || got.body != "" {
		t.Errorf("HEAD: %d %q", got.status, got.body)
	}
	if got := w.call("OPTIONS", "/api/v1/services", "", "Origin: http://evil.example"); got.status != 405 || got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("OPTIONS: %d %v", got.status, got.header)
	}
}

func TestHugeHeaders(t *testing.T) {
	w := newWorld(t)
	if got := w.call("GET", "/api/v1/services", "", "X-Big: "+strings.Repeat("x", 100<<10)); got.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%d", got.status)
	}
	if got := w.write("POST", "/api/v1/services", orders, "X-Big: "+strings.Repeat("x", 32<<10)); got.status != 201 {
		t.Errorf("%d", got.status)
	}
}

func TestAPanicIsAProblem(t *testing.T) {
	w := newWorld(t, func(cfg *server.Config) { cfg.Proxies = func() []server.Proxy { panic("out of luck") } })
	got := w.call("GET", "/api/v1/proxies", "")
	if p := got.problem(t); p.Status != 500 || strings.Contains(got.body, "luck") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// What etcd cannot take is the input's fault, and no reason to try again.
func TestObjectsTooLargeForEtcd(t *testing.T) {
	w := newWorld(t)
	for _, each := range []int{300, 800} { // times six: more than etcd takes, and more than its client sends
		var values []string
		for i := range 1000 {
			values = append(values, fmt.Sprintf(`"k%d":"%s"`, i, strings.Repeat("<", each)))
		}
		p := w.write("PUT", "/api/v1/runtime", `{"values":{`+strings.Join(values, ",")+`}}`).problem(t)
		if p.Status != 422 || !strings.Contains(p.Detail, "too large for etcd") {
			t.Errorf("%d: %+v", each, p)
		}
	}
}
