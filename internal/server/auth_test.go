package server_test

import (
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestWritesNeedAToken(t *testing.T) {
	w := newWorld(t)
	instance := "/api/v1/instances/orders/o-1"
	for _, one := range [][2]string{
		{"POST", "/api/v1/services"}, {"PUT", "/api/v1/services/orders"}, {"DELETE", "/api/v1/services/orders"},
		{"POST", "/api/v1/instances"}, {"PUT", instance + "/lease"}, {"PUT", instance + "/health"}, {"DELETE", instance},
		{"POST", "/api/v1/routes"}, {"PUT", "/api/v1/routes/a"}, {"DELETE", "/api/v1/routes/a"}, {"PUT", "/api/v1/runtime"},
		{"GET", "/api/v1/tokens"}, {"POST", "/api/v1/tokens"}, {"DELETE", "/api/v1/tokens/x"},
	} {
		for name, headers := range map[string][]string{
			"none":        nil,
			"basic":       {"Authorization: Basic YTpi"},
			"empty":       {"Authorization: Bearer "},
			"unknown":     {"Authorization: Bearer hdl_abc_def"},
			"wrong":       {"Authorization: Bearer " + w.admin + "x"},
			"long":        {"Authorization: Bearer " + strings.Repeat("x", 2000)},
			"given twice": {"Authorization: Bearer " + w.admin, "Authorization: Bearer " + w.admin},
		} {
			got := w.call(one[0], one[1], "{", headers...)
			if p := got.problem(t); p.Status != 401 || got.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s with %s token: %d %s", one[0], one[1], name, got.status, got.body)
			}
		}
	}
}

func TestAServicesTokenStaysWithItsService(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	root := w.client(w.admin)
	token, secret, err := root.CreateToken(ctx, "orders", "sidecars of orders")
	if err != nil || token.Service != "orders" || token.Description == "" || !strings.HasPrefix(token.Author, "token:") {
		t.Fatalf("%+v, %v", token, err)
	}
	c := w.client(secret)
	mine := mesh.Instance{Service: "orders", ID: "o-1", Address: "10.0.0.1", Port: 80}
	other := mesh.Instance{Service: "web", ID: "w-1", Address: "10.0.0.2", Port: 80}
	if _, err := root.Register(ctx, []mesh.Instance{other}, 0); err != nil {
		t.Fatal(err)
	}
	denied := map[string]func() error{
		"another service":     func() error { _, err := c.PutService(ctx, service("web")); return err },
		"creating another":    func() error { _, err := c.CreateService(ctx, service("web")); return err },
		"deleting another":    func() error { return c.DeleteService(ctx, "web", 0) },
		"a mixed batch":       func() error { _, err := c.Register(ctx, []mesh.Instance{mine, other}, 0); return err },
		"renewing another":    func() error { _, err := c.Renew(ctx, other.Key(), "1"); return err },
		"draining another":    func() error { _, err := c.SetHealth(ctx, other.Key(), "", mesh.Draining); return err },
		"removing another":    func() error { return c.Deregister(ctx, other.Key(), "") },
		"another's stale":     func() error { _, err := c.DeregisterStale(ctx, "web"); return err },
		"a route":             func() error { _, err := c.PutRoute(ctx, mesh.Route{Name: "shop"}); return err },
		"deleting a route":    func() error { return c.DeleteRoute(ctx, "shop", 0) },
		"the runtime":         func() error { _, err := c.PutRuntime(ctx, mesh.Runtime{Values: map[string]any{}}); return err },
		"listing the tokens":  func() error { _, err := c.Tokens(ctx); return err },
		"a token for itself":  func() error { _, _, err := c.CreateToken(ctx, "orders", ""); return err },
		"revoking a token":    func() error { return c.RevokeToken(ctx, token.ID) },
		"a token for another": func() error { _, _, err := c.CreateToken(ctx, "web", ""); return err },
	}
	for name, try := range denied {
		if err := try(); mesh.KindOf(err) != mesh.KindDenied {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.PutService(ctx, service("orders")); err != nil {
		t.Error(err)
	}
	registered, err := c.Register(ctx, []mesh.Instance{mine}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Renew(ctx, mine.Key(), registered[0].Epoch); err != nil {
		t.Error(err)
	}
	if err := c.Deregister(ctx, mine.Key(), registered[0].Epoch); err != nil {
		t.Error(err)
	}
}

func TestARevokedTokenIsRefused(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	root := w.client(w.admin)
	token, secret, err := root.CreateToken(ctx, "", "for a while")
	if err != nil {
		t.Fatal(err)
	}
	c := w.client(secret)
	if _, err := c.PutService(ctx, service("orders")); err != nil {
		t.Fatal(err)
	}
	list, err := root.Tokens(ctx)
	if err != nil || len(list) != 2 {
		t.Errorf("%v, %v", list, err)
	}
	if err := root.RevokeToken(ctx, token.ID); err != nil {
		t.Fatal(err)
	}
	w.eventually("the token is refused", func() bool {
		_, err := c.PutService(ctx, service("orders"))
		return mesh.KindOf(err) == mesh.KindDenied
	})
}

func TestReadingNeedsNoToken(t *testing.T) {
	w := newWorld(t)
	c := w.client("")
	ctx := t.Context()
	for name, read := range map[string]func() error{
		"services":  func() error { _, err := c.Services(ctx); return err },
		"instances": func() error { _, err := c.Instances(ctx, ""); return err },
		"of one":    func() error { _, err := c.Instances(ctx, "orders"); return err },
		"routes":    func() error { _, err := c.Routes(ctx); return err },
		"runtime":   func() error { _, err := c.Runtime(ctx); return err },
		"proxies":   func() error { _, err := c.Proxies(ctx); return err },
		"problems":  func() error { _, err := c.Problems(ctx); return err },
		"version":   func() error { _, err := c.Version(ctx); return err },
		"ready":     func() error { return c.Ready(ctx) },
	} {
		if err := read(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.client("hdl_not_known").PutService(ctx, service("orders")); mesh.KindOf(err) != mesh.KindDenied {
		t.Errorf("got %v", err)
	}
}

func TestAnEmptyServiceDoesNotMakeATokenForEverything(t *testing.T) {
	w := newWorld(t)
	for _, body := range []string{`{"service":null}`, `{"service":""}`, `{"description":"x","service":""}`} {
		if p := w.write("POST", "/api/v1/tokens", body).problem(t); p.Status != 422 || len(p.Errors) != 1 || p.Errors[0].Path != "service" {
			t.Errorf("%s: %+v", body, p)
		}
	}
}
