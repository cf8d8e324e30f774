package page_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/agent/api"
	"github.com/heddle-mesh/heddle/internal/agent/api/page"
	"github.com/heddle-mesh/heddle/internal/hosts"
)

// What a script would be, whichever part of the page it got into.
const hostile = `"'><script>alert(1)</script><img src=x onerror=alert(2)>{{.}}javascript:alert(3)`

func handler(t *testing.T, fleet func() *hosts.State) http.Handler {
	t.Helper()
	p, err := page.New(func() api.Fleet { return api.FleetOf(fleet()) }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func get(h http.Handler, path string) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
	return answer
}

func everythingIs(text string) *hosts.State {
	return &hosts.State{Fleet: text, Self: text, Problems: []hosts.Problem{{Host: text, Service: text, Message: text}}, Hosts: []hosts.Host{
		{Name: text, Services: []hosts.Service{{ID: text, Name: text, Image: text, Mode: hosts.Mode(text), Health: hosts.Health(text), Source: text, Labels: map[string]string{text: text}, Ports: []hosts.Port{{Type: text, Port: 1}}}}},
	}}
}

// What hosts say is text, wherever it is shown.
func TestNothingThatHostsSayBecomesScript(t *testing.T) {
	h := handler(t, func() *hosts.State { return everythingIs(hostile) })
	for _, path := range []string{"/ui/", "/ui/?q=%22%3E%3Cscript%3Ealert(4)%3C/script%3E"} {
		answer := get(h, path)
		body := answer.Body.String()
		if strings.Contains(body, "<script>") || strings.Contains(body, "<img") {
			t.Errorf("%s: something became more than text", path)
		}
		if !strings.Contains(body, "&lt;script&gt;alert(1)") && path == "/ui/" {
			t.Error("what hosts say is not shown")
		}
		if policy := answer.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: the policy is %q", path, policy)
		}
	}
}

func TestTheFilterShowsWhatHasItsText(t *testing.T) {
	h := handler(t, func() *hosts.State {
		return &hosts.State{Hosts: []hosts.Host{{Name: "one", Services: []hosts.Service{{ID: "a", Name: "orders"}, {ID: "b", Name: "basket", Health: hosts.Draining}}}, {Name: "two", Status: hosts.Failed}}}
	})
	for query, want := range map[string][2]string{"ORD": {"<h3>orders</h3>", "<h3>basket</h3>"}, "draining": {"<h3>basket</h3>", "<h3>orders</h3>"}, "two": {">failed<", "<h3>orders</h3>"}} {
		body := get(h, "/ui/?q="+query).Body.String()
		if !strings.Contains(body, want[0]) || strings.Contains(body, want[1]) {
			t.Errorf("%s: want %s and not %s", query, want[0], want[1])
		}
	}
	if body := get(h, "/ui/?q=nothing").Body.String(); !strings.Contains(body, "No service has “nothing”") {
		t.Error("that nothing was found is not said")
	}
}

// A page of many hosts is large: who has it as it is gets nothing, whoever filters gets its own.
func TestWhoHasThePageIsNotSentItAgain(t *testing.T) {
	version := uint64(1)
	h := handler(t, func() *hosts.State { return &hosts.State{Version: version, Changed: time.Now().Add(-time.Hour)} })
	again := func(tag string) *httptest.ResponseRecorder {
		answer, request := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/ui/", nil)
		request.Header.Set("If-None-Match", tag)
		h.ServeHTTP(answer, request)
		return answer
	}
	tag := get(h, "/ui/").Header().Get("ETag")
	answer := again(tag)
	if now := get(h, "/ui/").Header().Get("ETag"); now != tag { // a minute has begun
		tag, answer = now, again(now)
	}
	if answer.Code != http.StatusNotModified || answer.Body.Len() != 0 {
		t.Errorf("%d and %d bytes for %s", answer.Code, answer.Body.Len(), tag)
	}
	version++
	if answer := again(tag); answer.Code != http.StatusOK || answer.Header().Get("ETag") == tag {
		t.Errorf("%d for another version", answer.Code)
	}
	if answer := httptest.NewRecorder(); true {
		restarted, request := handler(t, func() *hosts.State { return &hosts.State{Version: 1, Changed: time.Now().Add(-time.Hour)} }), httptest.NewRequest(http.MethodGet, "/ui/", nil)
		request.Header.Set("If-None-Match", tag)
		restarted.ServeHTTP(answer, request)
		if answer.Code != http.StatusOK {
			t.Errorf("%d from an agent that was started again", answer.Code)
		}
	}
}
