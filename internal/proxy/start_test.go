package proxy_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/lease/leasetest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// What ends Run at the start, because waiting does not mend it.

func TestDeniedTokenEndsTheRun(t *testing.T) {
	app := startApplication(t)
	fake := &leasetest.Registrar{}
	fake.Fail(func(context.Context) error { return mesh.Denied("the token may not register orders") })
	config := newConfig(t, startControlPlane(t, 0, app.port), app.port)
	config.Registrar = fake
	err := run(t, config).wait(t)
	if mesh.KindOf(err) != mesh.KindDenied || !strings.Contains(err.Error(), "register the instance: the token may not register orders") {
		t.Errorf("got %v", err)
	}
}

func TestPortsThatAreTakenEndTheRun(t *testing.T) {
	taken := freePort(t)
	listen(t, taken)
	cases := map[string]struct {
		inbound uint32 // what the control plane chooses
		change  func(*mesh.Proxy)
		want    string
	}{
		"outbound":             {change: func(p *mesh.Proxy) { p.OutboundPort = mesh.Port(taken) }, want: "--outbound-port: something else listens on 127.0.0.1:"},
		"inbound":              {change: func(p *mesh.Proxy) { p.InboundPort = mesh.Port(taken) }, want: "--inbound-port: something else listens on 0.0.0.0:"},
		"a dependency's":       {change: func(p *mesh.Proxy) { p.DependencyPorts = map[mesh.ServiceName]mesh.Port{"ledger": mesh.Port(taken)} }, want: "--dependency-port ledger=PORT: "},
		"no address of ours":   {change: func(p *mesh.Proxy) { p.OutboundAddress = "203.0.113.1" }, want: "203.0.113.1 is no address of this machine"},
		"by the control plane": {inbound: taken, change: func(*mesh.Proxy) {}, want: "cannot bind"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			app := startApplication(t)
			config := newConfig(t, startControlPlane(t, c.inbound, app.port), app.port)
			c.change(&config.Bootstrap.Proxy)
			err := run(t, config).wait(t)
			if mesh.KindOf(err) != mesh.KindInvalid || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestEnvoyThatCannotStartEndsTheRun(t *testing.T) {
	cases := map[string]struct{ content, want string }{
		"gives up at once": {"#!/bin/sh\necho 'error: no such flag' >&2\nexit 3\n", "exit status 3); its last words:\nerror: no such flag"},
		"crashes at once":  {"#!/bin/sh\nkill -SEGV $$\n", "signal: segmentation fault"},
		"ends well":        {"#!/bin/sh\n", "exit status 0"},
		"is no program":    {"\x00\x01", "exec format error"},
		"hangs up":         {"#!/bin/sh\nexec 4>&- 3<&-\nexec sleep 60\n", "signal: terminated"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			config := newConfig(t, &controlPlane{address: "127.0.0.1:1"}, 8080)
			config.Envoy = filepath.Join(t.TempDir(), "envoy")
			if err := os.WriteFile(config.Envoy, []byte(c.content), 0o700); err != nil {
				t.Fatal(err)
			}
			err := run(t, config).wait(t)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestEnvoyDoesNotGetTheAccessToken(t *testing.T) {
	t.Setenv("HEDDLE_TOKEN", "hdl_secret")
	t.Setenv("OTHER", "stays")
	config := newConfig(t, &controlPlane{address: "127.0.0.1:1"}, 8080)
	config.Envoy = filepath.Join(t.TempDir(), "envoy")
	if err := os.WriteFile(config.Envoy, []byte("#!/bin/sh\necho \"token $HEDDLE_TOKEN, other $OTHER\" >&2\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := run(t, config).wait(t); err == nil || !strings.Contains(err.Error(), "token , other stays") {
		t.Errorf("got %v", err)
	}
}

func TestNewReportsEveryFault(t *testing.T) {
	_, err := proxy.New(proxy.Config{
		Bootstrap:   proxy.BootstrapConfig{Proxy: mesh.Proxy{Service: "orders", Instance: "", AppPort: 8080}},
		Concurrency: -1, EnvoyLogLevel: "loud", TTL: time.Millisecond, DrainTimeout: -1, Weight: 1001,
		AdvertiseAddress: "0.0.0.0", AdvertisePort: 70000,
	})
	var refused *mesh.Error
	if !errors.As(err, &refused) || refused.Kind != mesh.KindInvalid {
		t.Fatalf("got %v", err)
	}
	var got []string
	for _, fault := range refused.Faults {
		got = append(got, fault.Path)
	}
	want := []string{"instance", "envoy", "concurrency", "envoyLogLevel", "ttl", "drainTimeout", "weight", "advertisePort", "advertiseAddress", "registrar"}
	if err := differs(want, got); err != nil {
		t.Error(err)
	}
}
