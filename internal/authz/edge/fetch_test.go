package edge

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/authz"
)

// The ways in which an issuer's documents can be wrong.
func faultsOf(i *testIssuer) map[string]func(http.ResponseWriter, *http.Request) {
	set := func(w http.ResponseWriter) { _, _ = w.Write([]byte(`{"keys":[{"kty":"RSA"`)) }
	return map[string]func(http.ResponseWriter, *http.Request){
		"down":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"500":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"204":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"empty": func(http.ResponseWriter, *http.Request) {},
		"HTML": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("<!DOCTYPE html><title>Log in</title>"))
		},
		"HTML that says that it is JSON": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte("<html>"))
		},
		"cut off": func(w http.ResponseWriter, _ *http.Request) { set(w) },
		"huge": func(w http.ResponseWriter, _ *http.Request) {
			set(w)
			chunk := []byte(strings.Repeat(" ", 64<<10))
			for range 1 << 20 { // 64 GiB, if anybody took it
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		},
		"a huge header": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) },
		"no keys":       func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) },
		"null":          func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`null`)) },
		"keys twice":    func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[],"keys":[]}`)) },
		"only a secret key": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[{"kty":"oct","kid":"now","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}]}`))
		},
		"a redirect to a link-local address": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
		},
		"a redirect to itself": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, i.URL+"/again", http.StatusTemporaryRedirect)
		},
	}
}

// When the issuer's endpoint is wrong from the start, nobody is let in and nobody
// is called a forger; when it becomes wrong, the last good keys stay.
func TestEndpointFaults(t *testing.T) {
	t.Parallel()
	for name := range faultsOf(nil) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newTestIssuer(t)
			fault := faultsOf(i)[name]
			i.fails(fault)
			cold := i.run(t, i.config())
			ada, bo := sign(keyOf("now"), header(nil), i.person(nil)), sign(keyOf("now"), header(nil), i.member(nil))
			for provider, token := range map[string]string{"staff": ada, "partners": bo} {
				if _, err := asks(t, cold, provider, token); reasonOf(t, err) != "unavailable" {
					t.Errorf("%s: without keys: %v", provider, err)
				}
			}
			if gets := i.gets.Load(); gets > 4 { // Go tries a GET again on a connection that broke, once
				t.Errorf("it was asked %d times", gets)
			}
			i.fails(nil)
			i.clock.advance(fetchApart)
			for provider, token := range map[string]string{"staff": ada, "partners": bo} {
				if _, err := asks(t, cold, provider, token); err != nil {
					t.Errorf("%s: once it is well: %v", provider, err)
				}
			}
			i.fails(fault)
			i.clock.advance(fetchApart)
			unknown := sign(keyOf("now"), header(map[string]any{"kid": "unknown"}), i.person(nil))
			if _, err := asks(t, cold, "staff", unknown); reasonOf(t, err) != "unavailable" {
				t.Errorf("a key that cannot be asked for: %v", err)
			}
			if _, err := asks(t, cold, "staff", ada); err != nil {
				t.Errorf("the last good keys: %v", err)
			}
		})
	}
}

// A slow endpoint holds up nobody whose key is known, and nobody for longer than
// they want to wait.
func TestSlowEndpoint(t *testing.T) {
	t.Parallel()
	i := newTestIssuer(t)
	e := i.run(t, i.config())
	ada := sign(keyOf("now"), header(nil), i.person(nil))
	if _, err := asks(t, e, "staff", ada); err != nil {
		t.Fatal(err)
	}
	slow := make(chan struct{})
	defer close(slow)
	i.fails(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-slow:
		case <-r.Context().Done():
		}
	})
	i.clock.advance(fetchApart)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	unknown := sign(keyOf("now"), header(map[string]any{"kid": "unknown"}), i.person(nil))
	if _, err := e.Visitor(ctx, authz.Visit{Provider: "staff", Assertion: unknown}); reasonOf(t, err) != "unavailable" {
		t.Errorf("an unknown key: %v", err)
	}
	if _, err := asks(t, e, "staff", ada); err != nil {
		t.Errorf("a known key: %v", err)
	}
}

// A million forged key ids are one question to the issuer, and a new key is found.
func TestUnknownKeys(t *testing.T) {
	t.Parallel()
	i := newTestIssuer(t)
	e := i.run(t, i.config())
	ada := func(kid string) string { return sign(keyOf("now"), header(map[string]any{"kid": kid}), i.person(nil)) }
	if _, err := asks(t, e, "staff", ada("now")); err != nil {
		t.Fatal(err)
	}
	if _, err := asks(t, e, "partners", sign(keyOf("now"), header(nil), i.member(nil))); err != nil {
		t.Fatal(err) // its keys are there too: what is counted below is the other's
	}
	i.clock.advance(fetchApart)
	before := i.gets.Load()
	var group sync.WaitGroup
	for range 200 {
		group.Go(func() {
			if _, err := asks(t, e, "staff", ada("forged")); reasonOf(t, err) != authz.UnknownKey {
				t.Errorf("a forged key id: %v", err)
			}
		})
	}
	group.Wait()
	if n := i.gets.Load() - before; n != 1 {
		t.Errorf("the issuer was asked %d times", n)
	}

	i.publishes("next", "now")
	next := sign(keyOf("next"), header(map[string]any{"kid": "next"}), i.person(nil))
	i.clock.advance(fetchApart - time.Second)
	if _, err := asks(t, e, "staff", next); reasonOf(t, err) != authz.UnknownKey {
		t.Errorf("asked again too soon: %v", err)
	}
	i.clock.advance(time.Second)
	if _, err := asks(t, e, "staff", next); err != nil {
		t.Errorf("a new key: %v", err)
	}
	if _, err := asks(t, e, "staff", ada("now")); err != nil {
		t.Errorf("the previous key: %v", err)
	}
	withdrawn := sign(keyOf("before"), header(map[string]any{"kid": "before"}), i.person(nil))
	if _, err := asks(t, e, "staff", withdrawn); reasonOf(t, err) != authz.UnknownKey {
		t.Errorf("a key that was withdrawn: %v", err)
	}
	if n := i.gets.Load() - before; n != 2 {
		t.Errorf("the issuer was asked %d times in all", n)
	}
}

// What an OpenID document says is not believed when it is not of the issuer.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	i := newTestIssuer(t)
	for name, document := range map[string]map[string]any{
		"another issuer":               {"issuer": "https://evil.example", "jwks_uri": i.URL + "/keys"},
		"no issuer":                    {"jwks_uri": i.URL + "/keys"},
		"no keys":                      {"issuer": i.URL},
		"keys without TLS":             {"issuer": i.URL, "jwks_uri": "http://127.0.0.1/keys"},
		"keys in a file":               {"issuer": i.URL, "jwks_uri": "file:///etc/passwd"},
		"keys at a link-local address": {"issuer": i.URL, "jwks_uri": "https://169.254.169.254/keys"},
		"the same in IPv6":             {"issuer": i.URL, "jwks_uri": "https://[::ffff:169.254.169.254]/keys"},
		"the same with a zone":         {"issuer": i.URL, "jwks_uri": "https://[fe80::1%25lo]/keys"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own := newTestIssuer(t)
			for key, value := range document { // as this issuer would write it
				document[key] = strings.Replace(value.(string), i.URL, own.URL, 1)
			}
			own.fails(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/.well-known/openid-configuration" {
					own.fails(nil)
					own.serve(w, r)
					return
				}
				_, _ = w.Write([]byte(encoded(document)))
			})
			c := own.config()
			c.Providers = c.Providers[1:]
			if _, err := asks(t, own.run(t, c), "partners", sign(keyOf("now"), header(nil), own.member(nil))); reasonOf(t, err) != "unavailable" {
				t.Errorf("taken: %v", err)
			}
		})
	}
}

// The issuer proves who it is by a certificate of the authorities given.
func TestIssuersCertificate(t *testing.T) {
	t.Parallel()
	i := newTestIssuer(t)
	c := i.config()
	c.Providers[0].CAFile = "" // those of this machine, which have not signed the test's
	if _, err := asks(t, i.run(t, c), "staff", sign(keyOf("now"), header(nil), i.person(nil))); reasonOf(t, err) != "unavailable" {
		t.Errorf("taken: %v", err)
	}
}

// An endpoint that sends a byte now and then is given up.
func TestFetchesEnd(t *testing.T) {
	t.Parallel()
	i := newTestIssuer(t)
	i.fails(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write([]byte(" ")); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	c := i.config()
	roots, err := c.Providers[0].roots()
	if err != nil {
		t.Fatal(err)
	}
	from := &issuer{certs: i.URL, client: newClient(roots)}
	ctx, cancel := context.WithTimeout(t.Context(), 4*fetchTime)
	defer cancel()
	if _, err := from.fetch(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("it was waited for: %v", err)
	}
}

// A fetch fails for its own reason, not because something else happens to fail.
func TestWhyFetchesFail(t *testing.T) {
	t.Parallel()
	i := newTestIssuer(t)
	roots, err := i.config().Providers[0].roots()
	if err != nil {
		t.Fatal(err)
	}
	client := newClient(roots)
	for name, want := range map[string]string{
		"huge": "has more than 262144 bytes", "500": "answers 500", "204": "answers 204", "HTML": "is not one", "no keys": "it is empty", "only a secret key": "is not a public key",
		"a redirect to a link-local address": "redirects (302)", "a redirect to itself": "redirects (307)", "a huge header": "server response headers exceeded",
	} {
		i.fails(faultsOf(i)[name])
		if _, err := (&issuer{certs: i.URL, client: client}).fetch(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, host := range []string{"169.254.169.254", "[::ffff:169.254.169.254]", "[fe80::1]", "224.0.0.1", "0.0.0.0", "[::]"} {
		if _, err := get(t.Context(), client, "https://"+host+":1/"); err == nil || !strings.Contains(err.Error(), "where no issuer is") {
			t.Errorf("%s: %v", host, err)
		}
	}
}
