package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	manager    = "org.freedesktop.systemd1"
	properties = "org.freedesktop.DBus.Properties"
	units      = dbus.ObjectPath("/org/freedesktop/systemd1/unit")
)

// systemBus is where all may ask. private is systemd's own socket, which it opens to root
// alone: for hosts that have no D-Bus.
const (
	systemBus = "/run/dbus/system_bus_socket"
	private   = "/run/systemd/private"
)

// kinds are those of units that can be services.
var kinds = []string{".service", ".socket"}

// bus is one connection to systemd.
type bus struct {
	*dbus.Conn
	signals chan *dbus.Signal // closed when the connection is
	end     context.CancelFunc
}

// Close ends the connection.
func (b *bus) Close() {
	_ = b.Conn.Close() // nobody waits for what is on its way
	b.end()
}

// unit is one that systemd has loaded.
type unit struct {
	name, active string
	path         dbus.ObjectPath
}

// connect connects to systemd, by D-Bus or its own socket.
func connect(ctx context.Context) (*bus, error) {
	b, err := dial(ctx, systemBus)
	if errors.Is(err, os.ErrNotExist) {
		if direct, other := dial(ctx, private); other == nil {
			return direct, nil
		}
		return nil, fmt.Errorf("%w (is D-Bus installed? Without it only root may ask systemd, at %s)", err, private)
	}
	return b, err
}

func dial(ctx context.Context, path string) (*bus, error) {
	ctx, end := context.WithCancel(ctx) // its end closes the connection
	late := time.AfterFunc(answerTimeout, end)
	defer late.Stop()
	connection, err := dbus.Dial("unix:path="+path, dbus.WithContext(ctx))
	if err != nil {
		end()
		return nil, err
	}
	b := &bus{connection, make(chan *dbus.Signal, 64), end}
	connection.Signal(b.signals)
	if err := b.open(ctx, path != private); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("no answer within %s", answerTimeout)
		}
		b.Close()
		return nil, fmt.Errorf("talk to systemd at %s: %w", path, err)
	}
	return b, nil
}

// open has the bus know who asks, and tell what happens.
func (b *bus) open(ctx context.Context, shared bool) error {
	if err := b.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Getuid()))}); err != nil {
		return err
	}
	if shared {
		if err := b.Hello(); err != nil {
			return err
		}
		for _, match := range [][]dbus.MatchOption{
			{dbus.WithMatchInterface(manager + ".Manager"), dbus.WithMatchMember("UnitNew")},
			{dbus.WithMatchInterface(manager + ".Manager"), dbus.WithMatchMember("UnitRemoved")},
			{dbus.WithMatchInterface(manager + ".Manager"), dbus.WithMatchMember("Reloading")},
			{dbus.WithMatchInterface(properties), dbus.WithMatchMember("PropertiesChanged"), dbus.WithMatchPathNamespace(units), dbus.WithMatchArg(0, manager+".Unit")},
		} {
			if err := b.AddMatchSignalContext(ctx, append(match, dbus.WithMatchSender(manager))...); err != nil {
				return err
			}
		}
	}
	return b.subscribe(ctx)
}

// subscribe has systemd send signals. One that was started anew may have forgotten it.
func (b *bus) subscribe(ctx context.Context) error {
	err := b.ask(ctx, "Subscribe").Err
	var known dbus.Error
	if errors.As(err, &known) && known.Name == manager+".AlreadySubscribed" {
		return nil
	}
	return err
}

func (b *bus) ask(ctx context.Context, method string, arguments ...any) *dbus.Call {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	call := b.Object(manager, "/org/freedesktop/systemd1").CallWithContext(ctx, manager+".Manager."+method, 0, arguments...)
	if errors.Is(call.Err, context.DeadlineExceeded) {
		call.Err = fmt.Errorf("systemd does not answer within %s", answerTimeout)
	}
	return call
}

// list gives the units that are loaded and may be services.
func (b *bus) list(ctx context.Context) ([]unit, error) {
	patterns := make([]string, len(kinds))
	for i, kind := range kinds {
		patterns[i] = "*" + kind
	}
	var rows []struct {
		Name, Description, Load, Active, Sub, Following string
		Path                                            dbus.ObjectPath
		JobID                                           uint32
		JobType                                         string
		Job                                             dbus.ObjectPath
	}
	if err := b.ask(ctx, "ListUnitsByPatterns", []string{}, patterns).Store(&rows); err != nil {
		return nil, fmt.Errorf("list units: %w", err)
	}
	list := make([]unit, 0, len(rows))
	for _, row := range rows {
		list = append(list, unit{row.Name, row.Active, row.Path})
	}
	return list, nil
}

// gone says whether an error is that a unit is not loaded any more.
func gone(err error) bool {
	var known dbus.Error
	return errors.As(err, &known) && (strings.HasSuffix(known.Name, ".NoSuchUnit") || strings.HasSuffix(known.Name, ".UnknownObject"))
}

// property reads one of a unit.
func (b *bus) property(ctx context.Context, of unit, name string, to any) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var value dbus.Variant
	if err := b.Object(manager, of.path).CallWithContext(ctx, properties+".Get", 0, manager+".Unit", name).Store(&value); err != nil {
		return fmt.Errorf("ask for %s of %s: %w", name, of.name, err)
	}
	return value.Store(to)
}

// files gives the paths of those that a unit is made of, its own first.
func (b *bus) files(ctx context.Context, of unit) ([]string, error) {
	var own string
	var more []string
	if err := b.property(ctx, of, "FragmentPath", &own); err != nil {
		return nil, err
	}
	if err := b.property(ctx, of, "DropInPaths", &more); err != nil {
		return nil, err
	}
	if own == "" {
		return more, nil
	}
	return append([]string{own}, more...), nil
}

// began says when a unit became active, by the host's clock.
func (b *bus) began(ctx context.Context, of unit) (time.Time, error) {
	var at uint64
	if err := b.property(ctx, of, "ActiveEnterTimestamp", &at); err != nil || at == 0 {
		return time.Time{}, err
	}
	return time.UnixMicro(int64(at)).UTC().Truncate(time.Second), nil //nolint:gosec // it is a time
}

// heard says what a signal is for: a look, and whether files are to be read anew, of one
// unit or of all ("").
func heard(s *dbus.Signal) (look bool, anew func(dbus.ObjectPath) bool) {
	none := func(dbus.ObjectPath) bool { return false }
	switch strings.TrimPrefix(s.Name, manager+".Manager.") {
	case "Reloading":
		if len(s.Body) == 1 && s.Body[0] == false {
			return true, func(dbus.ObjectPath) bool { return true }
		}
		return false, none
	case "UnitNew", "UnitRemoved":
		if len(s.Body) != 2 {
			return false, none
		}
		path, _ := s.Body[1].(dbus.ObjectPath)
		return served(path), func(other dbus.ObjectPath) bool { return other == path }
	case properties + ".PropertiesChanged":
		return served(s.Path), none
	}
	return false, none
}

// served says whether a unit is of a kind that can be a service. In paths of objects a
// dot is _2e.
func served(path dbus.ObjectPath) bool {
	for _, kind := range kinds {
		if strings.HasSuffix(string(path), "_2e"+kind[1:]) {
			return true
		}
	}
	return false
}
