package workload

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/identity"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// operator gives join tokens to who shows the token that it believes.
type operator struct {
	*httptest.Server
	authority *identity.Authority

	mu     sync.Mutex
	shown  []string                       // guarded by mu
	given  int                            // guarded by mu
	answer func(http.ResponseWriter) bool // guarded by mu; says something else, if it gives true
}

func startOperator(t *testing.T, authority *identity.Authority) *operator {
	t.Helper()
	o := &operator{authority: authority}
	o.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		defer o.mu.Unlock()
		var asked struct{ Service, Instance, Key string }
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || asked.Service != "web" || asked.Instance != "web-1" || len(asked.Key) != 64 || r.Method != http.MethodPost || r.URL.Path != "/attest" {
			http.Error(w, fmt.Sprint(asked, err, r.Method, r.URL), http.StatusBadRequest)
			return
		}
		o.shown = append(o.shown, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		if o.answer != nil && o.answer(w) {
			return
		}
		o.given++
		_ = json.NewEncoder(w).Encode(map[string]string{"joinToken": identity.FormatJoinToken(fmt.Sprintf("hdj_%d_x", o.given), o.authority.Pin())})
	}))
	t.Cleanup(o.Close)
	return o
}

func (o *operator) says(answer func(http.ResponseWriter) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answer = answer
}

// attested is the configuration of a workload whose platform vouches for it.
func (o *operator) attested(t *testing.T, i *issuer) Config {
	t.Helper()
	dir := t.TempDir()
	by := &Attestor{URL: o.URL, TokenFile: filepath.Join(dir, "token"), CAFile: filepath.Join(dir, "ca.pem"), Identity: mesh.Identity{Kind: mesh.ServiceIdentity, Name: "web"}, Instance: "web-1"}
	write(t, by.TokenFile, "first\n")
	write(t, by.CAFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: o.Certificate().Raw})))
	return Config{Dir: filepath.Join(dir, "identity"), Identity: mesh.Identity{Kind: mesh.ServiceIdentity, Name: "web"}, Attestor: by, Issue: i.issue}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestTheOperatorIsAskedEachTime: with the platform's token as it is by then, and
// again when the certificate has ended, or is refused.
func TestTheOperatorIsAskedEachTime(t *testing.T) {
	i := newIssuer(t, time.Hour)
	o := startOperator(t, i.authority)
	cfg := o.attested(t, i)
	now := time.Now()
	cfg.Now = func() time.Time { return now }
	own, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	write(t, cfg.Attestor.TokenFile, "second")
	if err := own.renew(t.Context()); err != nil { // with its certificate
		t.Fatal(err)
	}
	now = now.Add(2 * time.Hour)
	if err := own.renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, tokens := i.asked()
	if len(tokens) != 3 || !strings.Contains(tokens[0], "hdj_1_x") || tokens[1] != "" || !strings.Contains(tokens[2], "hdj_2_x") {
		t.Errorf("joined with %q", tokens)
	}
	if got := strings.Join(o.shown, " "); got != "first second" {
		t.Errorf("the operator was shown %s", got)
	}
}

// TestTheOperatorSaysNoAtFirst: it may not have heard of the workload yet, or be away.
func TestTheOperatorSaysNoAtFirst(t *testing.T) {
	i := newIssuer(t, 0)
	o := startOperator(t, i.authority)
	answers := []func(http.ResponseWriter){
		func(w http.ResponseWriter) { http.Error(w, "no such pod", http.StatusForbidden) },
		func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
		func(w http.ResponseWriter) { fmt.Fprint(w, `{"joinToken":"garbage"}`) },
	}
	asked := 0
	o.says(func(w http.ResponseWriter) bool {
		if asked++; asked > len(answers) {
			return false
		}
		answers[asked-1](w)
		return true
	})
	if _, err := Open(t.Context(), o.attested(t, i)); err != nil {
		t.Fatal(err)
	}
	if len(o.shown) != 4 {
		t.Errorf("it was asked %d times", len(o.shown))
	}
	o.says(func(w http.ResponseWriter) bool { w.WriteHeader(http.StatusForbidden); return true })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, o.attested(t, i)); err == nil || ctx.Err() == nil {
		t.Errorf("it gave up: %v", err)
	}
}

// TestWhyThereIsNoJoinToken is told in words.
func TestWhyThereIsNoJoinToken(t *testing.T) {
	i := newIssuer(t, 0)
	o := startOperator(t, i.authority)
	for name, c := range map[string]struct {
		change func(*Attestor)
		answer func(http.ResponseWriter)
		kind   mesh.ErrorKind
		text   string
	}{
		"refused": {nil, func(w http.ResponseWriter) {
			http.Error(w, `{"detail":"the pod is of another service"}`, http.StatusForbidden)
		}, mesh.KindDenied, `403 Forbidden: "the pod is of another service"`},
		"in other words": {nil, func(w http.ResponseWriter) { http.Error(w, "go away", http.StatusUnauthorized) }, mesh.KindDenied, `"go away"`},
		"too often":      {nil, func(w http.ResponseWriter) { w.WriteHeader(http.StatusTooManyRequests) }, mesh.KindUnavailable, "429"},
		"somebody else":  {nil, func(w http.ResponseWriter) { fmt.Fprint(w, "<html>") }, mesh.KindUnavailable, "is it Heddle's operator?"},
		"sent elsewhere": {nil, func(w http.ResponseWriter) {
			w.Header().Set("Location", o.URL+"/x")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, mesh.KindUnavailable, "307"},
		"no token":          {func(a *Attestor) { a.TokenFile += "-not" }, nil, mesh.KindUnavailable, "--attest-token-file"},
		"no certificates":   {func(a *Attestor) { a.CAFile = a.TokenFile }, nil, mesh.KindUnavailable, "no certificate in PEM form"},
		"not to be trusted": {func(a *Attestor) { a.CAFile, a.CA = "", []byte(i.authority.Bundle()) }, nil, mesh.KindUnavailable, "certificate"},
		"away":              {func(a *Attestor) { a.URL = "https://127.0.0.1:1" }, nil, mesh.KindUnavailable, "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			o.says(func(w http.ResponseWriter) bool {
				if c.answer != nil {
					c.answer(w)
				}
				return c.answer != nil
			})
			by := o.attested(t, i).Attestor
			if c.change != nil {
				c.change(by)
			}
			if _, err := by.JoinToken(t.Context(), strings.Repeat("0", 64)); mesh.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v", err)
			}
		})
	}
	if faults := (Attestor{URL: "http://operator"}).Validate(); len(faults) != 2 {
		t.Errorf("got %v", faults)
	}
}
