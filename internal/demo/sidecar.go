package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/demo/shop"
	"github.com/heddle-mesh/heddle/internal/demo/stage"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

const (
	// sidecarStart bounds how long a sidecar takes until its instance is
	// registered: many Envoys start at once on few cores.
	sidecarStart = 45 * time.Second
	// sidecarTTL is long enough to outlive the restart of the control plane.
	sidecarTTL = "15s"
)

// instance is one copy of a sample app with its sidecar.
type instance struct {
	service, id, version string

	app               *shop.App
	appPort           int
	admin             string // host:port of its Envoy, if `heddle proxy` runs it
	inbound, outbound int
	ledger            int // of payments only: the sidecar's port for ledger
	process           *stage.Process
}

// registration is the instance as it is registered by hand.
func (i *instance) registration() mesh.Instance {
	return mesh.Instance{
		ID: mesh.InstanceID(i.id), Service: mesh.ServiceName(i.service), Address: loopback, Port: mesh.Port(i.inbound),
		Labels: map[string]string{"version": i.version}, MTLS: true,
	}
}

func (i *instance) key() mesh.InstanceKey {
	return mesh.InstanceKey{Service: mesh.ServiceName(i.service), ID: mesh.InstanceID(i.id)}
}

// takePorts chooses where the sidecar listens.
func (i *instance) takePorts(block *ports) error {
	wanted := []*int{&i.inbound, &i.outbound}
	if i.service == shop.Payments {
		wanted = append(wanted, &i.ledger)
	}
	for _, port := range wanted {
		var err error
		if *port, err = block.take(); err != nil {
			return err
		}
	}
	return nil
}

// serveApp runs the sample app until ctx ends. failed hears when it cannot go on.
func (i *instance) serveApp(ctx context.Context, apps *sync.WaitGroup, failed func(error)) error {
	sidecar := shop.Sidecar{HTTP: address(i.outbound), TCP: map[string]string{shop.Ledger: address(i.ledger)}}
	app, err := shop.New(shop.Identity{Service: i.service, Instance: i.id, Version: i.version}, sidecar)
	if err != nil {
		return err
	}
	l, err := listen(0)
	if err != nil {
		return fmt.Errorf("start the app %s: %w", i.id, err)
	}
	i.app, i.appPort = app, l.Addr().(*net.TCPAddr).Port
	apps.Go(func() {
		if err := app.Serve(ctx, l); err != nil {
			failed(err)
		}
	})
	return nil
}

// runProxy starts `heddle proxy` beside the app and returns when the instance
// is registered.
func (i *instance) runProxy(ctx context.Context, t *town, joinToken string) error {
	ready := filepath.Join(t.folder, i.id+"-ready.json")
	_ = os.Remove(ready) // of a demo that had the same folder; a failure shows when it is read
	arguments := []string{
		"proxy", "--service", i.service, "--instance", i.id,
		"--server", t.plane.tlsURL(), "--xds", t.plane.xdsTLS, "--identity-dir", t.identityFolder(i.id), "--join-token-file", joinToken,
		"--envoy", t.config.Envoy, "--ready-file", ready, "--ttl", sidecarTTL,
		"--advertise-address", loopback, "--inbound-address", loopback,
		"--inbound-port", strconv.Itoa(i.inbound), "--outbound-port", strconv.Itoa(i.outbound),
		"--app-port", strconv.Itoa(i.appPort), "--concurrency", "1", "--drain-timeout", drainTimeout.String(),
	}
	if i.version != "" {
		arguments = append(arguments, "--labels", "version="+i.version)
	}
	if i.ledger != 0 {
		arguments = append(arguments, "--dependency-port", shop.Ledger+"="+strconv.Itoa(i.ledger))
	}
	started, err := t.launch.Start(i.id, t.config.Heddle, arguments...)
	if err != nil {
		return err
	}
	i.process = started
	return started.AwaitFile(ctx, ready, sidecarStart, func(data []byte) error {
		var said struct{ Admin string }
		err := json.Unmarshal(data, &said)
		i.admin = said.Admin
		return err
	})
}

// runEnvoy starts an Envoy without `heddle proxy`: someone else registers this
// instance, or nobody does. It returns when the Envoy takes calls.
func (i *instance) runEnvoy(ctx context.Context, t *town, joinToken string) error {
	identity := t.identityFolder(i.id)
	if _, err := t.launch.Run(ctx, t.config.Heddle, "identity", "--once", "--service", i.service,
		"--identity-dir", identity, "--join-token-file", joinToken, "--server", t.plane.tlsURL()); err != nil {
		return err
	}
	bootstrap, err := t.launch.Run(ctx, t.config.Heddle, "bootstrap", "--service", i.service, "--instance", i.id, "--xds", t.plane.xdsTLS, "--identity-dir", identity,
		"--inbound-address", loopback, "--inbound-port", strconv.Itoa(i.inbound), "--outbound-port", strconv.Itoa(i.outbound), "--app-port", strconv.Itoa(i.appPort))
	if err != nil {
		return err
	}
	file := filepath.Join(t.folder, i.id+"-bootstrap.json")
	if err := os.WriteFile(file, bootstrap, 0o600); err != nil {
		return fmt.Errorf("start Envoy of %s: %w", i.id, err)
	}
	envoy, err := filepath.Abs(t.config.Envoy)
	if err != nil {
		return fmt.Errorf("start Envoy of %s: %w", i.id, err)
	}
	launch := t.launch
	launch.Dir = identity // what the control plane sends names files there
	started, err := launch.Start(i.id, envoy, "-c", file, "--disable-hot-restart", "--concurrency", "1", "--log-level", "warning")
	if err != nil {
		return err
	}
	i.process = started
	own, err := t.bearerOf(i.id)
	if err != nil {
		return err
	}
	return stage.Poll(ctx, sidecarStart, i.id+" to take calls by its Envoy", func(ctx context.Context) error {
		if err := started.Ended(); err != nil {
			return err
		}
		_, _, err := own.ask(ctx, i, "/", "") // whatever the answer is
		return err
	})
}
