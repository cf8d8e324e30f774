package server_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write api/openapi.json anew")

const openAPIFile = "../../api/openapi.json"

func TestOpenAPIFileIsUpToDate(t *testing.T) {
	w := newWorld(t)
	got := w.call("GET", "/openapi.json", "")
	if *update {
		if err := os.WriteFile(openAPIFile, []byte(got.body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(openAPIFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, []byte(got.body)) {
		t.Error("api/openapi.json is not up to date: run go test ./internal/server -run OpenAPI -update")
	}
	var document struct{ OpenAPI string }
	if err := json.Unmarshal(want, &document); err != nil || document.OpenAPI != "3.1.0" {
		t.Errorf("%q, %v", document.OpenAPI, err)
	}
	if strings.Contains(got.body, "ErrorModel") {
		t.Error("it still describes huma's own refusals")
	}
}

var (
	anchor = regexp.MustCompile(` id="([^"]+)"`)
	link   = regexp.MustCompile(` (?:href|src)="([^"]*)"`)
)

func TestTheDocsPageIsWholeAndLoadsNothingFromElsewhere(t *testing.T) {
	w := newWorld(t)
	page := w.call("GET", "/docs", "")
	if page.status != 200 || !strings.HasPrefix(page.header.Get("Content-Type"), "text/html") {
		t.Fatalf("%d %v", page.status, page.header)
	}
	for header, want := range map[string]string{"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"} {
		if !strings.Contains(page.header.Get(header), want) {
			t.Errorf("%s: %q", header, page.header.Get(header))
		}
	}
	if slash := w.call("GET", "/docs/", ""); slash.status != 301 && slash.status != 200 {
		t.Errorf("/docs/: %d", slash.status)
	}
	there := map[string]bool{}
	for _, id := range anchor.FindAllStringSubmatch(page.body, -1) {
		if there[id[1]] {
			t.Errorf("two anchors %s", id[1])
		}
		there[id[1]] = true
	}
	for _, to := range link.FindAllStringSubmatch(page.body, -1) {
		if id, inside := strings.CutPrefix(to[1], "#"); inside {
			if !there[id] {
				t.Errorf("a link to nothing: %s", to[1])
			}
			continue
		}
		if got := w.call("GET", to[1], ""); got.status != 200 {
			t.Errorf("%s: %d", to[1], got.status)
		}
	}
	for _, words := range []string{"curl -s -X PUT http://127.0.0.1:7080/api/v1/services/orders", "putService", "schema-Instance"} {
		if !strings.Contains(page.body, words) {
			t.Errorf("it does not hold %q", words)
		}
	}
	if strings.Contains(page.body, "<script") {
		t.Error("it holds a script")
	}
	if got := w.call("GET", "/", ""); got.status != 302 || got.header.Get("Location") != "/docs" {
		t.Errorf("/: %d %v", got.status, got.header)
	}
}

// TestTheExamplesWork sends every example body of the documents.
func TestTheExamplesWork(t *testing.T) {
	w := newWorld(t)
	var document struct {
		Paths map[string]map[string]struct {
			OperationID string
			RequestBody struct {
				Content map[string]struct{ Example json.RawMessage }
			}
		}
	}
	if err := json.Unmarshal([]byte(w.call("GET", "/openapi.json", "").body), &document); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("{name}", "orders", "{service}", "orders", "{id}", "orders-1")
	want := map[string]int{ // in this order
		"createService": 201, "putService": 200, "createRoute": 201, "putRoute": 422, "putRuntime": 200,
		"registerInstances": 201, "setHealth": 200, "renewLease": 409, "createToken": 201,
	}
	for _, id := range []string{"createService", "putService", "createRoute", "putRoute", "putRuntime", "registerInstances", "setHealth", "renewLease", "createToken"} {
		for path, methods := range document.Paths {
			for method, op := range methods {
				if op.OperationID != id {
					continue
				}
				example := string(op.RequestBody.Content["application/json"].Example)
				if got := w.write(strings.ToUpper(method), fill.Replace(path), example); got.status != want[id] {
					t.Errorf("%s %s: %d %s", id, example, got.status, got.body)
				}
				delete(want, id)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("not found: %v", want)
	}
}
