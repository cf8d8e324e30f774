package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/bench/measured"
)

// many is how many callers a callee has whose sidecar has to find one among them.
const many = 1000

// measureValidation measures what the callee's sidecar does to find out whether a
// call is allowed. The same Envoy, with the configuration that a real sidecar was
// sent, is called directly by mutual TLS with a token: with all its checks, with
// that of the caller alone, and with none, by few declared callers and by many.
func measureValidation(ctx context.Context, o options, dir string) ([]row, error) {
	app, address, err := startApp(ctx, dir)
	if app != nil {
		defer app.Stop()
	}
	if err != nil {
		return nil, err
	}
	t, err := found(ctx, o, filepath.Join(dir, "mesh"), address,
		"--tls-listen", "127.0.0.1:0", "--xds-tls-listen", "127.0.0.1:0", "--require-identity", "--mtls", "strict", "--authz-listen", "127.0.0.1:0", "--authz-http-listen", "127.0.0.1:0")
	defer t.close()
	if err != nil {
		return nil, err
	}
	web, err := t.sidecar(ctx, "web", "web", "")
	if err != nil {
		return nil, err
	}
	if err := web.out.serves(ctx); err != nil {
		return nil, err
	}
	token, err := web.out.get(ctx, "/token")
	if err != nil {
		return nil, err
	}
	certificate, err := tls.LoadX509KeyPair(filepath.Join(web.dir, "current", "cert.pem"), filepath.Join(web.dir, "current", "key.pem"))
	if err != nil {
		return nil, err
	}
	caller := client{
		tls:    &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"heddle", "http/1.1"}, InsecureSkipVerify: true}, //nolint:gosec // its server is not what is measured
		header: "x-heddle-token: " + token + "\r\n",
	}
	var results []row
	for _, callers := range []int{1, many} {
		if err := t.declareCallers(ctx, callers); err != nil {
			return nil, err
		}
		var all []contender
		for _, one := range []struct {
			name  string
			keeps []string // filters
		}{
			{"callee-bare", nil},
			{"callee-rbac", []string{"callers."}},
			{"callee-checks", []string{"callers.", "token."}},
		} {
			name := one.name + "-" + strconv.Itoa(callers)
			e, err := t.alike(ctx, name, one.keeps)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			c := caller
			c.address = e.Inbound
			if err := c.serves(ctx); err != nil {
				return nil, fmt.Errorf("%s: %w: %s", name, err, e.process.Said())
			}
			all = append(all, contender{name, c.run, cpuOf(e.process.PID())})
		}
		rows, err := measureAll(ctx, o, []int{1, 16}, all)
		if err != nil {
			return nil, err
		}
		results = append(results, rows...)
	}
	return results, nil
}

// declareCallers has so many services call orders, of which web is one, and waits
// until the sidecar of orders knows.
func (t *town) declareCallers(ctx context.Context, n int) error {
	var manifests strings.Builder
	last := "web"
	for i := 1; i < n; i++ {
		last = fmt.Sprintf("caller-%04d", i)
		manifests.WriteString(declaration(last, "orders"))
	}
	if n > 1 {
		if err := t.declare(ctx, manifests.String()); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		dump, err := t.orders.dump(ctx)
		if err != nil {
			return err
		}
		if strings.Contains(string(dump), "/service/"+last+`"`) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the sidecar of orders does not know its caller %s", last)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s *side) dump(ctx context.Context) ([]byte, error) {
	var admin client
	admin.address = s.Admin
	body, err := admin.get(ctx, "/config_dump")
	return []byte(body), err
}

// alike runs an Envoy with what the sidecar of orders has been sent, but of the
// filters that are discovered only those whose names begin so.
func (t *town) alike(ctx context.Context, name string, keeps []string) (*side, error) {
	data, err := t.orders.dump(ctx)
	if err != nil {
		return nil, err
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	bootstrap, err := static(data, port, keeps)
	if err != nil {
		return nil, err
	}
	config := t.at(name + ".bootstrap.json")
	if err := os.WriteFile(config, bootstrap, 0o600); err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, t.o.envoy, "-c", config, "--disable-hot-restart", "--concurrency", "2", "-l", "warning")
	command.Dir = t.orders.dir // where its identity is
	s := &side{Inbound: "127.0.0.1:" + port}
	if s.process, err = measured.Start(command, t.at(name+".log")); err != nil {
		return nil, err
	}
	t.processes = append(t.processes, s.process)
	return s, nil
}
