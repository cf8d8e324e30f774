package azure_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/heddle-mesh/heddle/internal/azuretest"
	"github.com/heddle-mesh/heddle/internal/discovery/azure"
)

const secret = "0123456789abcdef-secret"

// webhook is a source's, and how often it woke it.
func webhook(t *testing.T, fails error) (http.Handler, *atomic.Int32) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	woken := &atomic.Int32{}
	s := source(t, azuretest.New(t), func(cfg *azure.Config) {
		cfg.Events = &azure.Events{SecretFile: path}
		cfg.Subscriptions[0].ResourceGroups = []string{"Mesh"}
	})
	return s.EventsHandler(func(context.Context) error { woken.Add(1); return fails }), woken
}

func post(h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r, w := httptest.NewRequest(method, target, strings.NewReader(body)), httptest.NewRecorder()
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	h.ServeHTTP(w, r)
	return w
}

func TestEventsWakeTheSource(t *testing.T) {
	const ours = "/subscriptions/" + sub + "/resourceGroups/MESH/providers/Microsoft.Compute/virtualMachines/vm"
	for name, c := range map[string]struct {
		target, body string
		status       int
		woken        int32
		answer       string
	}{
		"an event of ours":          {"/?secret=" + secret, `[{"eventType":"Microsoft.Resources.ResourceWriteSuccess","subject":"` + ours + `"}]`, 200, 1, ""},
		"one of CloudEvents":        {"/?secret=" + secret, `{"specversion":"1.0","type":"Microsoft.Resources.ResourceDeleteSuccess","subject":"` + strings.ToLower(ours) + `"}`, 200, 1, ""},
		"one among others":          {"/?secret=" + secret, `[{"subject":"/subscriptions/x"},{"subject":"` + ours + `/extensions/a"}]`, 200, 1, ""},
		"of another group":          {"/?secret=" + secret, `[{"subject":"` + strings.Replace(ours, "MESH", "MESH2", 1) + `"}]`, 200, 0, ""},
		"of another subscription":   {"/?secret=" + secret, `[{"subject":"` + strings.Replace(ours, sub, subID(3), 1) + `"}]`, 200, 0, ""},
		"of a disk":                 {"/?secret=" + secret, `[{"subject":"` + strings.Replace(ours, "virtualMachines", "disks", 1) + `"}]`, 200, 0, ""},
		"the handshake":             {"/?secret=" + secret, `[{"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","subject":"","data":{"validationCode":"512d38b6"}}]`, 200, 0, `{"validationResponse":"512d38b6"}`},
		"a handshake of a stranger": {"/?secret=other", `[{"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","data":{"validationCode":"512d38b6"}}]`, 401, 0, "the secret is not"},
		"no secret":                 {"/", `[{"subject":"` + ours + `"}]`, 401, 0, "the secret is not"},
		"half a secret":             {"/?secret=" + secret[:10], `[{"subject":"` + ours + `"}]`, 401, 0, "the secret is not"},
		"no JSON":                   {"/?secret=" + secret, `subject=x`, 400, 0, "this is not JSON with events"},
		"numbers":                   {"/?secret=" + secret, `[1,2]`, 400, 0, "this is not JSON with events"},
		"too much":                  {"/?secret=" + secret, `["` + strings.Repeat("x", 2<<20) + `"]`, 413, 0, "too large"},
	} {
		t.Run(name, func(t *testing.T) {
			h, woken := webhook(t, nil)
			got := post(h, http.MethodPost, c.target, c.body)
			if got.Code != c.status || woken.Load() != c.woken || !strings.Contains(got.Body.String(), c.answer) {
				t.Errorf("answered %d %q, woken %d times; want %d %q, %d", got.Code, got.Body, woken.Load(), c.status, c.answer, c.woken)
			}
		})
	}
	t.Run("a token of the header", func(t *testing.T) {
		h, woken := webhook(t, nil)
		if got := post(h, http.MethodPost, "/", `[{"subject":"`+ours+`"}]`, "Authorization", "Bearer "+secret); got.Code != 200 || woken.Load() != 1 {
			t.Errorf("answered %d", got.Code)
		}
	})
	t.Run("what cannot be passed on is to be sent again", func(t *testing.T) {
		h, _ := webhook(t, errors.New("etcd is away"))
		if got := post(h, http.MethodPost, "/?secret="+secret, `[{"subject":"`+ours+`"}]`); got.Code != http.StatusServiceUnavailable {
			t.Errorf("answered %d", got.Code)
		}
	})
	t.Run("the handshake of CloudEvents", func(t *testing.T) {
		h, _ := webhook(t, nil)
		got := post(h, http.MethodOptions, "/?secret="+secret, "", "WebHook-Request-Origin", "eventgrid.azure.net")
		if got.Code != 200 || got.Header().Get("WebHook-Allowed-Origin") != "eventgrid.azure.net" || got.Header().Get("WebHook-Allowed-Rate") == "" {
			t.Errorf("answered %d %v", got.Code, got.Header())
		}
		if got := post(h, http.MethodOptions, "/", "", "WebHook-Request-Origin", "eventgrid.azure.net"); got.Code != http.StatusUnauthorized || got.Header().Get("WebHook-Allowed-Origin") != "" {
			t.Errorf("without the secret: answered %d %v", got.Code, got.Header())
		}
	})
	t.Run("a burst wakes once or twice, and after its last", func(t *testing.T) {
		h, woken := webhook(t, nil)
		done := make(chan struct{})
		for range 10 {
			go func() {
				post(h, http.MethodPost, "/?secret="+secret, `[{"subject":"`+ours+`"}]`)
				done <- struct{}{}
			}()
		}
		for range 10 {
			<-done
		}
		if n := woken.Load(); n < 1 || n > 3 {
			t.Errorf("it was woken %d times", n)
		}
	})
}

func TestASecretOfAFewLettersIsNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{path, filepath.Join(t.TempDir(), "nowhere"), ""} {
		if _, err := azure.New(azure.Config{Subscriptions: []azure.Subscription{{ID: sub}}, Events: &azure.Events{SecretFile: at}}); err == nil || !strings.Contains(err.Error(), "events.secretFile") {
			t.Errorf("%q: %v", at, err)
		}
	}
}
