package proxy_test

import (
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

func TestParseAppCheck(t *testing.T) {
	app := mesh.Proxy{AppPort: 8080, AppAddress: "127.0.0.2"}
	for text, want := range map[string]string{
		"":                                  "tcp://127.0.0.2:8080",
		"none":                              "none",
		"tcp://127.0.0.1:9000":              "tcp://127.0.0.1:9000",
		"http://localhost:8080/healthz?a=b": "http://localhost:8080/healthz?a=b",
		"http://[::1]:8080":                 "http://[::1]:8080",
	} {
		got, err := proxy.ParseAppCheck(text, app)
		if err != nil || got.String() != want {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
	if got, err := proxy.ParseAppCheck("", mesh.Proxy{}); err != nil || got.String() != "none" {
		t.Errorf("a workload that only calls: %s, %v", got, err)
	}
	for _, text := range []string{"yes", "ftp://a:1", "http://", "tcp://127.0.0.1", "tcp://127.0.0.1:0", "tcp://127.0.0.1:80/path", "http://a:99999/", "127.0.0.1:80", "https://127.0.0.1/"} {
		if got, err := proxy.ParseAppCheck(text, app); mesh.KindOf(err) != mesh.KindInvalid || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %s, %v; want a refusal", text, got, err)
		}
	}
}
