package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/bench/measured"
)

// town is one mesh: a server, and orders behind a sidecar.
type town struct {
	o         options
	dir       string
	identity  bool
	processes []*measured.Process // ended in reverse
	server    struct{ REST, XDS, RESTTLS, XDSTLS string }
	serverRun *measured.Process
	orders    *side
}

// side is a sidecar.
type side struct {
	process *measured.Process
	dir     string // its identity's
	Admin   string
	Inbound string
	out     client // the application's, through it
	PID     int    // Envoy's
}

func (t *town) close() {
	for _, p := range slices.Backward(t.processes) {
		p.Stop()
	}
}

func (t *town) at(name string) string { return filepath.Join(t.dir, name) }

func (t *town) start(ctx context.Context, name string, command *exec.Cmd, ready string, into any) (*measured.Process, error) {
	p, err := measured.Start(command, t.at(name+".log"))
	if err != nil {
		return nil, err
	}
	t.processes = append(t.processes, p)
	said, err := p.Await(ctx, ready, patience)
	if err != nil {
		return nil, err
	}
	return p, json.Unmarshal([]byte(said), into)
}

// found starts a mesh, with a sidecar of orders before an application. It is to be
// closed also if there is an error. flags are those of the server; none: there are
// no identities.
func found(ctx context.Context, o options, dir, app string, flags ...string) (*town, error) {
	t := &town{o: o, dir: dir, identity: len(flags) > 0}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return t, err
	}
	command := exec.CommandContext(ctx, o.heddle, append([]string{
		"server", "--listen", "127.0.0.1:0", "--xds-listen", "127.0.0.1:0",
		"--data-dir", t.at("data"), "--ready-file", t.at("server.json"), "--admin-token-file", t.at("token"),
	}, flags...)...)
	var err error
	if t.serverRun, err = t.start(ctx, "server", command, t.at("server.json"), &t.server); err != nil {
		return t, err
	}
	if err := t.declare(ctx, declaration("orders")+declaration("web", "orders")); err != nil {
		return t, err
	}
	t.orders, err = t.sidecar(ctx, "orders", "orders", app)
	return t, err
}

func declaration(name string, dependencies ...string) string {
	return fmt.Sprintf("---\nkind: Service\nname: %s\nowner: bench\nprotocol: http\nport: 80\ndependencies: [%s]\n", name, strings.Join(dependencies, ", "))
}

func (t *town) declare(ctx context.Context, manifests string) error {
	if err := os.WriteFile(t.at("services.yaml"), []byte(manifests), 0o600); err != nil {
		return err
	}
	_, err := t.heddle(ctx, "apply", "-f", t.at("services.yaml"))
	return err
}

func (t *town) heddle(ctx context.Context, arguments ...string) ([]byte, error) {
	out, err := exec.CommandContext(ctx, t.o.heddle, append(arguments, "--server", t.server.REST, "--token-file", t.at("token"))...).Output()
	if err != nil {
		return nil, fmt.Errorf("heddle %s: %w", arguments[0], err)
	}
	return out, nil
}

// sidecar runs Envoy for a service; app is "" if it only calls.
func (t *town) sidecar(ctx context.Context, name, service, app string, flags ...string) (*side, error) {
	outbound, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	s := &side{out: client{address: "127.0.0.1:" + outbound}, dir: t.at(name + ".identity")}
	arguments := []string{"proxy", "--service", service, "--instance", name, "--envoy", t.o.envoy, "--ready-file", t.at(name + ".json"), "--outbound-port", outbound}
	if app != "" {
		_, port, err := net.SplitHostPort(app)
		if err != nil {
			return nil, err
		}
		inbound, err := freePort(ctx)
		if err != nil {
			return nil, err
		}
		arguments = append(arguments, "--app-port", port, "--inbound-address", "127.0.0.1", "--inbound-port", inbound)
	}
	if t.identity {
		join, err := t.heddle(ctx, "token", "create", "--join", service)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(t.at(name+".join"), join, 0o600); err != nil {
			return nil, err
		}
		arguments = append(arguments, "--server", t.server.RESTTLS, "--xds", t.server.XDSTLS, "--identity-dir", s.dir, "--join-token-file", t.at(name+".join"))
	} else {
		arguments = append(arguments, "--server", t.server.REST, "--xds", t.server.XDS, "--token-file", t.at("token"))
	}
	s.process, err = t.start(ctx, name, exec.CommandContext(ctx, t.o.heddle, append(arguments, flags...)...), t.at(name+".json"), s)
	return s, err
}

func freePort(ctx context.Context) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, err
}

// startApp runs the application.
func startApp(ctx context.Context, dir string) (*measured.Process, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	log := filepath.Join(dir, "app.log")
	p, err := measured.Start(exec.CommandContext(ctx, self, appCommand), log)
	if err != nil {
		return nil, "", err
	}
	address, err := p.Await(ctx, log, patience)
	return p, address, err
}

// serves waits until a request is answered.
func (c *client) serves(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		_, err := c.get(ctx, "/")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// measureMesh measures a request through the caller's sidecar, the callee's, and
// the application.
func measureMesh(ctx context.Context, o options, dir string) ([]row, error) {
	app, address, err := startApp(ctx, dir)
	if app != nil {
		defer app.Stop()
	}
	if err != nil {
		return nil, err
	}
	var all []contender
	strict := []string{"--tls-listen", "127.0.0.1:0", "--xds-tls-listen", "127.0.0.1:0", "--require-identity", "--mtls", "strict"}
	for _, one := range []struct {
		name  string
		flags []string
	}{
		{"mesh-plain", nil},
		{"mesh-mtls", strict},
		{"mesh-asked", append(slices.Clone(strict), "--authz-listen", "127.0.0.1:0", "--authz-http-listen", "127.0.0.1:0")},
	} {
		t, err := found(ctx, o, filepath.Join(dir, one.name), address, one.flags...)
		defer t.close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", one.name, err)
		}
		callers := map[string][]string{one.name: nil}
		if one.name == "mesh-asked" {
			callers["mesh-pushed"] = []string{"--token-delivery", "push"}
		}
		for _, name := range slices.Sorted(maps.Keys(callers)) {
			web, err := t.sidecar(ctx, name, "web", "", callers[name]...)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if err := web.out.serves(ctx); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			all = append(all, contender{name, web.out.run, cpuOf(web.PID, t.orders.PID, t.serverRun.PID())})
		}
	}
	return measureAll(ctx, o, []int{1, 16}, all)
}

// cpuOf sums the processor time of processes.
func cpuOf(pids ...int) func() (time.Duration, error) {
	return func() (time.Duration, error) {
		var sum time.Duration
		for _, pid := range pids {
			one, err := measured.CPU(pid)
			if err != nil {
				return 0, err
			}
			sum += one
		}
		return sum, nil
	}
}
