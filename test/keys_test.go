package test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// signing waits for a key that signs and is another one.
func (s *server) signing(other string) (id string) {
	s.t.Helper()
	heddletest.Eventually(s.t, "another key to sign", func() error {
		keys, err := s.client.SigningKeys(s.t.Context())
		if err != nil {
			return err
		}
		i := slices.IndexFunc(keys.Keys, func(k client.SigningKey) bool { return k.State == "signing" && k.ID != other })
		if i < 0 {
			return fmt.Errorf("there are %+v", keys.Keys)
		}
		id = keys.Keys[i].ID
		return nil
	})
	return id
}

// TestSigningKeysChangeUnderTraffic: with two AuthZ services, keys are rotated and
// revoked while requests pass two Envoys, and none fails. A token of the revoked key,
// which the callee's Envoy has verified and remembers, is refused within seconds, and
// stays so.
func TestSigningKeysChangeUnderTraffic(t *testing.T) {
	t.Parallel()
	envoytest.Path(t)
	s := startTrusted(t)
	s.declare(service("orders", mesh.HTTP), service("web", mesh.HTTP, "orders"))
	join, _ := s.joinTokenFor(mesh.Identity{Kind: mesh.AuthzIdentity}, time.Minute, 1)
	startAuthz(t, s, "--identity-dir", t.TempDir(), "--join-token-file", join)
	all := startMesh(t, s, "web", "orders")
	web, orders, certificate := all["web"].side(), all["orders"].inbound(), all["web"].certificate(t)
	first, _ := tokenIn(t, web.wants(t, "orders", "/", http.StatusOK, "orders token=ey").body)
	heddletest.Eventually(t, "both AuthZ services to be announced", func() error {
		keys, err := s.client.SigningKeys(t.Context())
		if err == nil && len(keys.Authorizers) != 2 {
			err = fmt.Errorf("there are %+v", keys.Authorizers)
		}
		return err
	})

	done := make(chan struct{})
	end := sync.OnceFunc(func() { close(done) })
	var load sync.WaitGroup
	var passed int
	failures := make(chan string, 100)
	load.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(2 * time.Millisecond):
			}
			got, err := web.call(t, "orders", "/")
			if err != nil || got.status != http.StatusOK || !strings.Contains(got.body, "token=ey") {
				select {
				case failures <- fmt.Sprintf("%s: %d %q %s, %v", time.Now().Format(time.TimeOnly), got.status, got.header.Get("x-heddle-reason"), got.body, err):
				default:
				}
			}
			passed++
		}
	})
	t.Cleanup(func() { // also when a wait below ends the test
		end()
		load.Wait()
	})
	stolen := func(token string) int {
		t.Helper()
		got, err := directly(t, orders, "/", []tls.Certificate{certificate}, http.Header{"X-Heddle-Token": {token}})
		if err != nil {
			t.Fatal(err)
		}
		return got.status
	}

	key := s.signing("")
	if err := s.client.OrderSigningKeys(t.Context(), "rotate"); err != nil {
		t.Fatal(err)
	}
	rotated := s.signing(key)
	time.Sleep(3 * time.Second) // in which both services go over to it
	if status := stolen(first); status != http.StatusOK {
		t.Errorf("after the rotation, a token of the former key: %d", status)
	}

	begun := time.Now()
	if err := s.client.RevokeSigningKey(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	refusedSince := func(token string) time.Duration {
		t.Helper()
		for time.Since(begun) < deadline {
			if stolen(token) == http.StatusUnauthorized {
				return time.Since(begun)
			}
		}
		t.Fatal("the token of a revoked key is still accepted")
		return 0
	}
	const most = 20 * time.Second // six, and this machine may be busy
	if took := refusedSince(first); took > most {
		t.Errorf("the former key's token was refused only after %s", took)
	}

	// The key that signs, whose tokens are all that there are by now.
	var second string
	heddletest.Eventually(t, "a token of the key that signs", func() error {
		got, err := web.call(t, "orders", "/")
		if err != nil {
			return err
		}
		if second, _ = tokenIn(t, got.body); second == first {
			return fmt.Errorf("it is the first one")
		}
		return nil
	})
	if status := stolen(second); status != http.StatusOK {
		t.Fatalf("a good token: %d", status)
	}
	begun = time.Now()
	if err := s.client.RevokeSigningKey(t.Context(), rotated); err != nil {
		t.Fatal(err)
	}
	took := refusedSince(second)
	t.Logf("a verified token of the revoked key was refused after %s", took)
	if took > most {
		t.Errorf("a token of the revoked key was refused only after %s", took)
	}
	for range 50 {
		if status := stolen(second); status != http.StatusUnauthorized {
			t.Fatalf("a token of the revoked key was taken again: %d", status)
		}
		time.Sleep(20 * time.Millisecond)
	}
	end()
	load.Wait()
	close(failures)
	for one := range failures {
		t.Errorf("a request failed at %s", one)
	}
	t.Logf("%d requests passed", passed)

	// Without keys sidecars neither ask nor check.
	if err := s.client.OrderSigningKeys(t.Context(), "withdraw"); err != nil {
		t.Fatal(err)
	}
	heddletest.Eventually(t, "the callee to want no token", func() error {
		got, err := web.call(t, "orders", "/")
		if err == nil && (got.status != http.StatusOK || strings.Contains(got.body, "token=ey")) {
			err = fmt.Errorf("%d %s", got.status, got.body)
		}
		return err
	})
	if err := s.client.OrderSigningKeys(t.Context(), "publish"); err != nil {
		t.Fatal(err)
	}
	web.wants(t, "orders", "/", http.StatusOK, "orders token=ey")
}
