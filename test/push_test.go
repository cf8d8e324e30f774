package test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// TestPushedTokens: a sidecar that is handed its tokens puts them on its calls, in the
// place of forged ones, and on each call that of its callee; takes newer ones without a
// failed request; learns of new callees, and of those that do not want it any more.
func TestPushedTokens(t *testing.T) {
	t.Parallel()
	envoytest.Path(t)
	s := startTrusted(t, "--authz-token-life", "1m", "--authz-cache-life", "4s", "--authz-refresh-ahead", "1s")
	orders, stock := service("orders", mesh.HTTP), service("stock", mesh.HTTP)
	s.declare(orders, stock, service("web", mesh.HTTP, "orders"))
	web := newSecureWorkload(t, s, "web", "web-1", "")
	web.Arguments = append(web.Arguments, "--token-delivery", "push")
	all := workloads{web, newSecureWorkload(t, s, "orders", "orders-1", app(t, tellsToken("orders"))), newSecureWorkload(t, s, "stock", "stock-1", app(t, tellsToken("stock")))}
	t.Cleanup(all.leave)
	all.start(t)
	side := web.side()
	forged := func(r *http.Request) { r.Header["X-Heddle-Token"] = []string{"forged", "forged"} }
	_, says := tokenIn(t, side.wants(t, "orders", "/", http.StatusOK, "orders token=ey", forged).body)
	if says["sub"] != "spiffe://heddle.local/service/web" || !names(says["aud"], "spiffe://heddle.local/service/orders") {
		t.Errorf("the token says %v", says)
	}
	if asked := web.stat(t, "cluster.heddle.authz.upstream_rq_total"); asked != "" {
		t.Errorf("Envoy asked the AuthZ service %s times", asked)
	}

	t.Run("newer tokens cost no request", func(t *testing.T) {
		var failed, asked atomic.Int64
		var mu sync.Mutex
		var seen []string // guarded by mu
		var calling sync.WaitGroup
		end := time.Now().Add(13 * time.Second)
		for range 2 {
			calling.Go(func() {
				for time.Now().Before(end) {
					got, err := side.call(t, "orders", "/")
					asked.Add(1)
					if err != nil || got.status != http.StatusOK {
						failed.Add(1)
						continue
					}
					mu.Lock()
					if !slices.Contains(seen, got.body) {
						seen = append(seen, got.body)
					}
					mu.Unlock()
				}
			})
		}
		calling.Wait()
		if failed.Load() > 0 || len(seen) < 3 || asked.Load() < 20 {
			t.Errorf("%d of %d requests failed, with %d tokens", failed.Load(), asked.Load(), len(seen))
		}
	})

	t.Run("a dependency comes and goes", func(t *testing.T) {
		s.declare(service("web", mesh.HTTP, "orders", "stock"))
		_, says := tokenIn(t, side.wants(t, "stock", "/", http.StatusOK, "stock token=ey").body)
		if !names(says["aud"], "spiffe://heddle.local/service/stock") {
			t.Errorf("the token says %v", says)
		}
		s.declare(service("web", mesh.HTTP, "orders"))
		side.wants(t, "stock", "/", http.StatusForbidden, "has not declared")
	})

	t.Run("a revoked key", func(t *testing.T) {
		former := keyOf(t, side.wants(t, "orders", "/", http.StatusOK, "orders token=ey").body)
		if err := s.client.RevokeSigningKey(t.Context(), former); err != nil {
			t.Fatal(err)
		}
		heddletest.Eventually(t, "a token of another key", func() error {
			got, err := side.call(t, "orders", "/")
			if err == nil && (got.status != http.StatusOK || keyOf(t, got.body) == former) {
				err = fmt.Errorf("%d, still the revoked key's token", got.status)
			}
			return err
		})
	})

	t.Run("the callee's owner decides", func(t *testing.T) {
		orders.Access = mesh.Access{Callers: mesh.ApprovedCallers}
		s.declare(orders)
		heddletest.Eventually(t, "the call to be refused", func() error {
			got, err := side.call(t, "orders", "/", forged)
			if err == nil && (got.status != http.StatusUnauthorized || got.header.Get("x-heddle-reason") != "no-token") {
				err = fmt.Errorf("%d %q %s", got.status, got.header.Get("x-heddle-reason"), got.body)
			}
			return err
		})
		orders.Access.Enforcement = mesh.Observe
		s.declare(orders)
		if got := side.wants(t, "orders", "/", http.StatusOK, "orders token=", forged); strings.Contains(got.body, "forged") {
			t.Errorf("a forged token passed: %s", got.body)
		}
		orders.Access = mesh.Access{}
		s.declare(orders)
		side.wants(t, "orders", "/", http.StatusOK, "orders token=ey")
	})
}

// keyOf is the id of the key that signed the token that an application told of.
func keyOf(t *testing.T, body string) string {
	t.Helper()
	token, _ := tokenIn(t, body)
	var header struct {
		Kid string `json:"kid"`
	}
	data, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	if err == nil {
		err = json.Unmarshal(data, &header)
	}
	if err != nil {
		t.Fatal(err)
	}
	return header.Kid
}
