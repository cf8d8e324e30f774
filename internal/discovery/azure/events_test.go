package azure_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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
	h, _ := s.EventsHandler(func(context.Context) error { woken.Add(1); return fails })
	return h, woken
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
}

// sleepy is a webhook without an Azure, for tests whose time is not real, and the end of its
// server.
func sleepy(t *testing.T, wake func(context.Context) error) (send func() int, end func()) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := azure.New(azure.Config{Subscriptions: []azure.Subscription{{ID: sub}}, Events: &azure.Events{SecretFile: path}})
	if err != nil {
		t.Fatal(err)
	}
	h, run := s.EventsHandler(wake)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { run(ctx) })
	return func() int {
		return post(h, http.MethodPost, "/?secret="+secret, `[{"subject":"/subscriptions/`+sub+`/resourceGroups/a/providers/Microsoft.Compute/virtualMachines/vm"}]`).Code
	}, func() { cancel(); running.Wait() }
}

// TestABurstOfEventsWakesAtItsBeginningAndAfterItsEnd, and none of them waits for it.
func TestABurstOfEventsWakesAtItsBeginningAndAfterItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, woken := time.Now(), []time.Duration(nil)
		var mu sync.Mutex // guards woken
		send, end := sleepy(t, func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			woken = append(woken, time.Since(began))
			return nil
		})
		defer end()
		for range 10 {
			for range 50 { // more than are answered at once
				at := time.Now()
				if code := send(); code != http.StatusOK || time.Since(at) > 0 {
					t.Fatalf("answered %d after %s", code, time.Since(at))
				}
			}
			time.Sleep(130 * time.Millisecond) // to 1.3 s
		}
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if want := []time.Duration{0, time.Second, 2 * time.Second}; !slices.Equal(woken, want) {
			t.Errorf("woken after %v, want %v", woken, want)
		}
	})
}

// TestAnEventThatWasAnsweredIsNotLost while the registry is away for a moment, and is given
// up after a while.
func TestAnEventThatWasAnsweredIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tried, away := atomic.Int32{}, atomic.Bool{}
		away.Store(true)
		send, end := sleepy(t, func(context.Context) error {
			if tried.Add(1); away.Load() {
				return errors.New("etcd is away")
			}
			return nil
		})
		defer end()
		if first, second := send(), send(); first != http.StatusServiceUnavailable || second != http.StatusOK {
			t.Fatalf("answered %d and %d", first, second)
		}
		time.Sleep(5500 * time.Millisecond)
		away.Store(false)
		if time.Sleep(time.Minute); tried.Load() != 7 {
			t.Errorf("the source was to be woken %d times, want at once, and each second until it was", tried.Load())
		}
		if away.Store(true); send() != http.StatusServiceUnavailable || send() != http.StatusOK {
			t.Error("answered otherwise the second time")
		}
		if time.Sleep(time.Hour); tried.Load() != 7+1+30 {
			t.Errorf("the source was to be woken %d times in all", tried.Load())
		}
	})
}

// TestNoSourceIsWokenAfterTheServersEnd: neither between two tries nor by one that hangs, for
// the registry is closed then.
func TestNoSourceIsWokenAfterTheServersEnd(t *testing.T) {
	for name, hangs := range map[string]bool{"between tries": false, "in a try": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tried, ended := atomic.Int32{}, atomic.Bool{}
				send, end := sleepy(t, func(ctx context.Context) error {
					if tried.Add(1); ended.Load() {
						t.Error("the source is woken after the end")
					}
					if hangs && tried.Load() > 1 {
						<-ctx.Done()
					}
					return errors.New("etcd is away")
				})
				if first, second := send(), send(); first != http.StatusServiceUnavailable || second != http.StatusOK {
					t.Fatalf("answered %d and %d", first, second)
				}
				time.Sleep(2500 * time.Millisecond)
				began := time.Now()
				end()
				ended.Store(true)
				if took := time.Since(began); took > 0 || tried.Load() < 2 {
					t.Errorf("the end took %s after %d tries", took, tried.Load())
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

// TestASecretOfAFewLettersIsNone, and one that cannot be read neither: nobody is let in, and
// the server starts all the same. It is read at each call.
func TestASecretOfAFewLettersIsNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	s := source(t, azuretest.New(t), func(cfg *azure.Config) { cfg.Events = &azure.Events{SecretFile: path} })
	h, _ := s.EventsHandler(func(context.Context) error { t.Error("it was woken"); return nil })
	for _, has := range []string{"", "short", secret} {
		if has != "" {
			if err := os.WriteFile(path, []byte(has), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want := http.StatusServiceUnavailable
		if has == secret {
			want = http.StatusUnauthorized
		}
		for _, given := range []string{"", "short"} {
			if got := post(h, http.MethodPost, "/?secret="+given, `[]`); got.Code != want || strings.Contains(got.Body.String(), path) {
				t.Errorf("with %q in the file, who gives %q is answered %d %s", has, given, got.Code, got.Body)
			}
		}
	}
}
