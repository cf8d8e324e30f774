package envoytest_test

import (
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/heddle-mesh/heddle/internal/envoytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bootstrap answers every request with "hello".
const bootstrap = `{"static_resources":{"listeners":[{
	"name":"hello",
	"address":{"socket_address":{"address":"127.0.0.1","port_value":0}},
	"filter_chains":[{"filters":[{"name":"hcm","typed_config":{
		"@type":"type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
		"stat_prefix":"hello",
		"route_config":{"virtual_hosts":[{"name":"all","domains":["*"],"routes":[{"match":{"prefix":"/"},"direct_response":{"status":200,"body":{"inline_string":"hello"}}}]}]},
		"http_filters":[{"name":"router","typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]
	}}]}]
}]}}`

func TestStartedEnvoyServesAndIsStopped(t *testing.T) {
	var envoy *envoytest.Envoy
	t.Run("while the test runs", func(t *testing.T) {
		envoy = envoytest.Start(t, []byte(bootstrap))
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := client.Get("http://" + envoy.Listener(t, "hello"))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("got %s", response.Status)
		}
		if got := envoy.Stat(t, "http.hello.downstream_rq_2xx"); got != 1 {
			t.Errorf("%d requests counted, want 1", got)
		}
		if dump := envoy.Get(t, "/config_dump"); !strings.Contains(dump, `"stat_prefix": "hello"`) {
			t.Errorf("not in the config dump:\n%s", dump)
		}
	})
	if envoy == nil {
		t.Skip("no Envoy: run hack/envoy.sh")
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if response, err := client.Get("http://" + envoy.Admin + "/ready"); err == nil {
		response.Body.Close()
		t.Error("Envoy outlived its test")
	}
}

func TestJudgeTellsWhatEnvoyRefuses(t *testing.T) {
	envoytest.Validate(t, []byte(bootstrap))

	_, err := envoytest.Judge(t, []byte(strings.Replace(bootstrap, `"prefix":"/"`, `"prefx":"/"`, 1)))
	if err == nil || !strings.Contains(err.Error(), "prefx") {
		t.Errorf("got %v, want Envoy's complaint about \"prefx\"", err)
	}

	warnings, err := envoytest.Judge(t, []byte(strings.Replace(bootstrap, `"name":"hello"`, `"name":"hello","reuse_port":true`, 1)))
	if err != nil || len(warnings) == 0 || !strings.Contains(warnings[0], "reuse_port") {
		t.Errorf("got %q and %v, want a warning about the deprecated field reuse_port", warnings, err)
	}
}
