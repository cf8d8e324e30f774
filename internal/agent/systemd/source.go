package systemd

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/heddle-mesh/heddle/internal/agent/authority"
	"github.com/heddle-mesh/heddle/internal/hosts"
)

// Source asks the systemd of this host. Its zero durations have defaults.
type Source struct {
	Address netip.Addr // the host's, where services are reached
	// Interval is how often all is listed when no signal says so. Default 10 s.
	Interval time.Duration
	// Patience is how long systemd may be out of reach until what it alone speaks for is in
	// doubt. Default 10 min: units live on without D-Bus.
	Patience time.Duration
	Logger   *slog.Logger
}

const (
	// answerTimeout bounds each request.
	answerTimeout = 5 * time.Second
	// gap is between looks while signals come without an end.
	gap = 50 * time.Millisecond
	// anewEvery is how often files are read without being told that they changed.
	anewEvery = time.Minute
)

// Name implements agent.Source.
func (*Source) Name() string { return "systemd" }

// view is what is known; it is Run's.
type view struct {
	*Source
	authority authority.Authority
	units     map[dbus.ObjectPath]made
	faults    map[string]string // told of, by unit
}

// made is what a unit's files make of it.
type made struct {
	service hosts.Service
	is      bool
	fresh   bool // they need not be read again
}

// Run implements agent.Source. A D-Bus that is away changes nothing at first: units live
// on without it.
func (s *Source) Run(ctx context.Context, found func([]hosts.Service)) error {
	v := &view{Source: s, units: map[dbus.ObjectPath]made{}, faults: map[string]string{}}
	v.authority = authority.Authority{Name: "systemd", Patience: cmp.Or(s.Patience, 10*time.Minute), Found: found, Logger: s.Logger}
	v.authority.Follow(ctx, v.follow)
	return nil
}

// follow is one connection, until it fails.
func (v *view) follow(ctx context.Context) error {
	b, err := connect(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	v.anew(func(dbus.ObjectPath) bool { return true })
	if err := v.look(ctx, b); err != nil {
		return err
	}
	tick := time.NewTicker(cmp.Or(v.Interval, 10*time.Second))
	defer tick.Stop()
	again := time.NewTicker(anewEvery)
	defer again.Stop()
	var due <-chan time.Time // nil: nothing has happened since the last look
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case signal, open := <-b.signals:
			if !open {
				return errors.New("the connection to D-Bus has ended")
			}
			look, changed := heard(signal)
			v.anew(changed)
			if look && due == nil {
				due = time.After(max(0, gap-time.Since(last)))
			}
			continue
		case <-again.C:
			v.anew(func(dbus.ObjectPath) bool { return true })
		case <-tick.C:
			if err := b.subscribe(ctx); err != nil {
				return err
			}
		case <-due:
		}
		due = nil
		if err := v.look(ctx, b); err != nil {
			return err
		}
		last = time.Now()
	}
}

// anew has the files of units read again.
func (v *view) anew(changed func(dbus.ObjectPath) bool) {
	for path, m := range v.units {
		if changed(path) {
			m.fresh = false
			v.units[path] = m
		}
	}
}

// look lists what runs, and says it.
func (v *view) look(ctx context.Context, b *bus) error {
	all, err := b.list(ctx)
	if err != nil {
		return err
	}
	services := []hosts.Service{}
	loaded := map[dbus.ObjectPath]made{}
	faults := map[string]string{}
	for _, u := range all {
		if !runs(u) {
			if before, known := v.units[u.path]; known {
				loaded[u.path] = before
			}
			continue
		}
		one, is, err := v.service(ctx, b, u, loaded, faults)
		if err != nil && !gone(err) { // it may have gone since it was listed
			return err
		}
		if err == nil && is {
			services = append(services, one)
		}
	}
	v.units, v.faults = loaded, faults
	v.authority.Says(services)
	return nil
}

// runs says whether a unit has processes that may serve. One that is being activated does
// not serve yet, by its own word.
func runs(u unit) bool {
	switch u.active {
	case "active", "reloading", "refreshing", "deactivating":
		return true
	}
	return false
}

// service gives the service of a unit that runs, if it is one.
func (v *view) service(ctx context.Context, b *bus, u unit, loaded map[dbus.ObjectPath]made, faults map[string]string) (one hosts.Service, is bool, err error) {
	m, err := v.made(ctx, b, u, faults)
	if err != nil {
		return one, false, err
	}
	loaded[u.path] = m
	if !m.is {
		return one, false, nil
	}
	one = m.service
	if u.active == "deactivating" {
		one.Health = hosts.Draining
	}
	one.Created, err = b.began(ctx, u)
	return one, true, err
}

// made gives what a unit's files make of it, as they were read last or anew. A section
// with a fault changes nothing: what was read last stays.
func (v *view) made(ctx context.Context, b *bus, u unit, faults map[string]string) (made, error) {
	before := v.units[u.path]
	if before.fresh {
		if told, has := v.faults[u.name]; has {
			faults[u.name] = told
		}
		return before, nil
	}
	paths, err := b.files(ctx, u)
	if err != nil {
		return before, err
	}
	files, wrong := open(paths)
	next := made{fresh: true}
	if wrong == nil {
		next.service, next.is, wrong = service(u.name, files, v.Address)
	}
	if wrong == nil {
		return next, nil
	}
	before.fresh = true
	faults[u.name] = wrong.Error()
	if v.faults[u.name] != faults[u.name] {
		text := "a unit's section [" + section + "] makes no sense; the unit is no service until that is mended"
		if before.is {
			text = "a unit's section [" + section + "] makes no sense; what it said last stays"
		}
		v.Logger.Warn(text, "unit", u.name, "problem", wrong)
	}
	return before, nil
}
