package bridge

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

const (
	// settle is how long changes of the mesh are gathered before the fleet is told.
	settle = 200 * time.Millisecond
	// mostImported bounds the copies that one bridge tells its fleet of.
	mostImported = 2000
)

// Run implements agent.Bridge: it gives what the mesh runs, and how this bridge does. Until
// the whole mesh was seen once it gives nothing, and while the server is away what it gave stays.
func (b *Bridge) Run(ctx context.Context, found func(hosts.Bridge, []hosts.Service)) error {
	changed := b.mirror.changed()
	var tasks sync.WaitGroup
	defer tasks.Wait()
	tasks.Go(func() { b.mirror.follow(ctx, b.cfg.Mesh, b.logger()) })
	t := teller{Bridge: b, found: found}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			t.known = 0
		case <-time.After(lookAgain):
		}
		t.tell(time.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(settle):
		}
	}
}

// teller tells the fleet of the mesh; Run's goroutine alone touches it.
type teller struct {
	*Bridge
	found   func(hosts.Bridge, []hosts.Service)
	speaker speaker
	known   int64 // the revision of the mesh that list was made of
	list    []hosts.Service
	left    string // why it is not all
}

// tell has the fleet told what the mesh runs and how this bridge does, if either changed.
func (t *teller) tell(now time.Time) {
	revision, synced, lost := t.mirror.how()
	list := t.list
	if revision != t.known {
		var left string
		if list, left = t.mirror.copies(t.cfg); left != t.left {
			if t.left = left; left != "" {
				t.cfg.Logger.Warn("not all that the mesh runs is known to the hosts", "why", left)
			}
		}
		t.known = revision
	}
	said, before := t.speaker.says(t.Bridge, synced, lost, now), *t.told.Load()
	said.Revision = before.Revision // it is told with something else
	same := func(a, b hosts.Service) bool { return a.ID == b.ID && a.Same(b) }
	if reflect.DeepEqual(said, before) && slices.EqualFunc(list, t.list, same) {
		return
	}
	said.Revision = revision
	t.found(said, list)
	t.told.Store(&said)
	t.list = list
}

// logger logs that the server cannot be followed, and that it can again, once each.
func (b *Bridge) logger() func(error) {
	told := ""
	return func(err error) {
		switch {
		case err == nil && told != "":
			told = ""
			b.cfg.Logger.Info("the bridge follows the mesh again")
		case err == nil:
			b.cfg.Logger.Info("the bridge follows the mesh")
		case err.Error() != told:
			told = err.Error()
			b.cfg.Logger.Warn("the bridge cannot follow the mesh; what is known of it stays", "error", err)
		}
	}
}

// copies gives what the mesh runs as its fleet is told, and why it is not all.
func (m *mirror) copies(cfg Config) (list []hosts.Service, left string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	tls, more := 0, 0
	for key, one := range m.instances {
		s := m.services[key.Service]
		if s == nil || !hosts.Chosen(cfg.Imports, s.Name) || one.Labels[FleetLabel] == cfg.Fleet {
			continue
		}
		address, err := netip.ParseAddr(one.Address)
		switch {
		case err != nil:
			continue // a name: hosts tell addresses only
		case one.MTLS:
			tls++
			continue
		}
		list = append(list, copyOf(s, one, address))
	}
	slices.SortFunc(list, func(a, b hosts.Service) int { return cmp.Compare(a.ID, b.ID) })
	if len(list) > mostImported {
		more = len(list) - mostImported
		list = list[:mostImported]
	}
	switch {
	case more > 0:
		left = fmt.Sprintf("%d copies are more than the %d that a bridge tells of: choose services by --bridge-import", more+mostImported, mostImported)
	case tls > 0:
		left = fmt.Sprintf("%d copies take mutual TLS, for which hosts have no certificates: let their services take plain calls, or call them through a gateway", tls)
	}
	return list, left
}

func copyOf(s *mesh.Service, one *mesh.Instance, address netip.Addr) hosts.Service {
	port := hosts.Port{Port: one.Port, ServicePort: s.Port, ByName: true}
	if own := s.OwnPort(); own != 0 {
		port.ServicePort, port.ByName = own, false
	}
	health := hosts.Healthy
	switch one.Health {
	case mesh.Draining:
		health = hosts.Draining
	case mesh.Unhealthy:
		health = hosts.Unhealthy
	}
	return hosts.Service{
		ID: string(s.Name) + "/" + string(one.ID), Name: string(s.Name), Address: address,
		Ports: []hosts.Port{port}, Mode: mode(s.Protocol), Health: health,
	}
}

func mode(p mesh.Protocol) hosts.Mode {
	switch p {
	case mesh.TCP:
		return hosts.TCPMode
	case mesh.HTTP2:
		return hosts.HTTP2Mode
	case mesh.GRPC:
		return hosts.GRPCMode
	default:
		return hosts.HTTPMode
	}
}
