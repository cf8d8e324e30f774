package systemd

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/godbus/dbus/v5"

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
	// tellAgain is between two times that it is told that systemd is out of reach.
	tellAgain = time.Minute
	// firstRetry and lastRetry bound the pause after a connection that failed.
	firstRetry, lastRetry = 100 * time.Millisecond, 2 * time.Second
)

// Name implements agent.Source.
func (*Source) Name() string { return "systemd" }

// view is what is known; it is Run's.
type view struct {
	*Source
	found    func([]hosts.Service)
	said     []hosts.Service // nil: nothing yet
	units    map[dbus.ObjectPath]made
	faults   map[string]string // told of, by unit
	awayFrom time.Time         // zero: systemd answers
	told     bool              // that it does not
	toldAt   time.Time         // last
	doubted  bool
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
	v := &view{Source: s, found: found, units: map[dbus.ObjectPath]made{}, faults: map[string]string{}}
	pause := firstRetry
	for ctx.Err() == nil {
		began := time.Now()
		if err := v.follow(ctx); ctx.Err() == nil {
			v.away(err)
		}
		if time.Since(began) > 2*answerTimeout { // it held
			pause = firstRetry
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, lastRetry)
	}
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
	if v.told {
		v.Logger.Info("systemd answers again")
	}
	v.awayFrom, v.told, v.doubted = time.Time{}, false, false
	v.say(services)
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

// say hands over what has changed.
func (v *view) say(services []hosts.Service) {
	slices.SortFunc(services, func(a, b hosts.Service) int { return cmp.Compare(a.ID, b.ID) })
	if v.said == nil || !reflect.DeepEqual(services, v.said) {
		v.said = services
		v.found(slices.Clone(services))
	}
}

// away notes that systemd is out of reach.
func (v *view) away(err error) {
	now := time.Now()
	if v.awayFrom.IsZero() {
		v.awayFrom = now
	}
	if !v.told && now.Sub(v.toldAt) > tellAgain {
		v.told, v.toldAt = true, now
		v.Logger.Warn("systemd cannot be asked; what ran last is taken to run on", "error", err)
	}
	if v.doubted || now.Sub(v.awayFrom) < cmp.Or(v.Patience, 10*time.Minute) {
		return
	}
	v.doubted = true
	services := slices.Clone(v.said)
	doubts := 0
	for i := range services {
		if one := &services[i]; one.Check.Kind == hosts.CheckNone && one.Health != hosts.Draining {
			one.Reason = "systemd cannot be asked" // it is called: a bus that is away takes no traffic down
			doubts++
		}
	}
	if doubts > 0 {
		v.Logger.Warn("systemd could not be asked for long; what only it speaks for is taken to run on, and is in doubt", "services", doubts)
		v.say(services)
	}
}
