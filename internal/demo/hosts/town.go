package hosts

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/heddle-mesh/heddle/internal/demo/stage"
	"github.com/heddle-mesh/heddle/internal/scratch"
)

// backends is how many hosts run services when the demo begins.
const backends = 3

// town is the fleet.
type town struct {
	config Config
	folder *scratch.Folder
	launch stage.Launcher
	say    func(format string, args ...any)

	hub     *network // the switch that joins hosts, and where calls from outside come from
	hosts   []*host  // with services
	ingress *host
}

// open starts everything, and returns when the ingress reaches all services on all hosts.
func (t *town) open(ctx context.Context) error {
	if err := t.prepare(ctx); err != nil {
		return err
	}
	began := time.Now()
	what := "container engines, one for each host (some seconds)"
	if t.config.WithoutDocker {
		what = "services as plain processes"
	}
	t.say("starting %s …", what)
	var starting errgroup.Group
	for _, h := range t.hosts {
		starting.Go(func() error { return t.startServices(ctx, h) })
	}
	if err := starting.Wait(); err != nil {
		return err
	}
	t.say("  ready after %.1f s", time.Since(began).Seconds())
	t.say("starting agents, each with %s …", t.config.proxy())
	began = time.Now()
	var joining errgroup.Group
	for _, h := range t.hosts {
		joining.Go(func() error { return h.startAgent(ctx, t) })
	}
	joining.Go(func() error {
		flags := []string{"--listener"}
		for _, s := range services() {
			flags = append(flags, "--expose", s.name)
		}
		return t.ingress.startAgent(ctx, t, flags...)
	})
	if err := joining.Wait(); err != nil {
		return err
	}
	for _, h := range t.hosts {
		if err := t.routable(ctx, h, services()...); err != nil {
			return err
		}
	}
	t.say("  the ingress host reaches all services after %.1f s", time.Since(began).Seconds())
	return nil
}

// prepare makes the switch, the hosts and their key.
func (t *town) prepare(ctx context.Context) error {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	if err := os.WriteFile(filepath.Join(t.folder.Path, "keys"), []byte(base64.StdEncoding.EncodeToString(key)+"\n"), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(t.tokenFile(), []byte(rand.Text()+"\n"), 0o600); err != nil {
		return err
	}
	var err error
	if t.hub, err = newNetwork(); err != nil {
		return err
	}
	if err := t.hub.ip(ctx, "link set lo up", "link add switch type bridge", "address add 10.77.0.1/24 dev switch", "link set switch up"); err != nil {
		return err
	}
	if t.ingress, err = t.newHost(ctx, "ingress", "10.77.0.10"); err != nil {
		return err
	}
	for range backends {
		if _, err := t.addHost(ctx); err != nil {
			return err
		}
	}
	return nil
}

// tokenFile has what writes to the agents' APIs need.
func (t *town) tokenFile() string { return filepath.Join(t.folder.Path, "token") }

// addHost makes the next host, without anything running on it.
func (t *town) addHost(ctx context.Context) (*host, error) {
	number := len(t.hosts) + 1
	h, err := t.newHost(ctx, fmt.Sprint("host-", number), fmt.Sprint("10.77.0.", 10+number))
	if err == nil {
		t.hosts = append(t.hosts, h)
	}
	return h, err
}

func (t *town) newHost(ctx context.Context, name, address string) (*host, error) {
	h := &host{name: name, address: address}
	var err error
	if h.net, err = newNetwork(); err != nil {
		return nil, err
	}
	if err := t.hub.ip(ctx, "link add "+name+" type veth peer name eth0 netns "+h.net.path(), "link set "+name+" master switch up"); err != nil {
		return nil, err
	}
	return h, h.net.ip(ctx, "link set lo up", "address add "+address+"/24 dev eth0", "link set eth0 up", "route add default via 10.77.0.1")
}

// startServices starts what a host runs.
func (t *town) startServices(ctx context.Context, h *host) error {
	if t.config.WithoutDocker {
		p, err := newProcesses(h, t.launch, t.config.Heddle, t.config.Hurry)
		if err != nil {
			return err
		}
		h.backend = p
	} else {
		c, err := newContainers(ctx, h, t.config.Heddle, t.folder.Path)
		if c != nil {
			h.backend = c
		}
		if err != nil {
			return err
		}
	}
	for _, s := range services() {
		if err := h.backend.start(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// plug connects a host with the others, or cuts it off.
func (t *town) plug(ctx context.Context, h *host, connected bool) error {
	state := " down"
	if connected {
		state = " up"
	}
	return t.hub.ip(ctx, "link set "+h.name+state)
}

// close ends everything, the ingress first, and returns when nothing is left.
func (t *town) close(ctx context.Context) error {
	var faults []error
	if t.ingress != nil {
		faults = append(faults, t.ingress.close(t.config.Hurry))
	}
	var closing errgroup.Group
	failures := make([]error, len(t.hosts))
	for i, h := range t.hosts {
		closing.Go(func() error { failures[i] = h.close(t.config.Hurry); return nil })
	}
	_ = closing.Wait() // each says so itself
	if t.hub != nil {
		t.hub.close()
	}
	faults = append(faults, failures...)
	faults = append(faults, stage.Poll(ctx, 5*time.Second, "the demo's processes to be gone", func(context.Context) error {
		if left := stage.Leftovers(t.launch.EnvironmentMark()); len(left) > 0 {
			return fmt.Errorf("still there: %v", left)
		}
		return nil
	}))
	return errors.Join(faults...)
}
