package systemd

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

const (
	maxText  = 63  // bytes of a name
	maxImage = 255 // bytes of an Image
	maxPorts = 32
	maxValue = 4 << 10 // bytes of any value
)

// reading is a unit's section being read.
type reading struct {
	unit   string
	last   map[string]line   // by key, of those that hold one value
	lists  map[string][]line // by key, of those that hold several; one word each
	faults []error
}

// keys are those of the section; true: of several values.
var keys = map[string]bool{
	"Name": false, "Image": false, "Mode": false, "Port": true, "ServicePort": true, "Check": false, "CheckArgs": false,
	"Interval": false, "Timeout": false, "Healthy": false, "Unhealthy": false, "Initial": false,
}

// service makes a service of a unit's files; is: they have a section for it. It is all or
// nothing: a section with a fault makes no service.
func service(unit string, files []file, host netip.Addr) (one hosts.Service, is bool, err error) {
	settings, is, faults := read(files)
	if !is {
		return one, false, nil
	}
	r := &reading{unit: unit, last: map[string]line{}, lists: map[string][]line{}, faults: faults}
	for _, setting := range settings {
		r.take(setting)
	}
	one = hosts.Service{ID: unit, Address: host, Name: r.name(), Mode: r.mode(), Ports: r.ports(), Check: r.check()}
	if image := r.last["Image"]; len(image.value) > maxImage {
		r.fault(image, "has more than %d bytes", maxImage)
	} else {
		one.Image = image.value
	}
	return one, true, all(r.faults)
}

// all gives several faults in one line.
func all(faults []error) error {
	texts := make([]string, len(faults))
	for i, fault := range faults {
		texts[i] = fault.Error()
	}
	if len(texts) == 0 {
		return nil
	}
	return errors.New(strings.Join(texts, "; "))
}

func (r *reading) fault(l line, format string, arguments ...any) {
	r.faults = append(r.faults, l.fault("%s", l.key+" "+fmt.Sprintf(format, arguments...)))
}

// take notes a setting: of one value the last counts, several are collected, and an empty
// one takes back what was said before it.
func (r *reading) take(l line) {
	several, known := keys[l.key]
	if !known {
		r.faults = append(r.faults, l.fault("there is no %.40q in [%s]", l.key, section))
		return
	}
	value, err := specifiers(l.value, r.unit)
	switch {
	case err != nil:
	case len(value) > maxValue:
		err = fmt.Errorf("has more than %d bytes", maxValue)
	case !utf8.ValidString(value):
		err = errors.New("is no UTF-8")
	}
	if err != nil {
		r.fault(l, "%v", err)
		return
	}
	switch l.value = value; {
	case value == "":
		delete(r.last, l.key)
		delete(r.lists, l.key)
	case several:
		for word := range strings.FieldsSeq(value) {
			l.value = word
			r.lists[l.key] = append(r.lists[l.key], l)
		}
	default:
		r.last[l.key] = l
	}
}

// specifiers fills in what systemd.unit(5) has percent signs for, as far as it concerns
// the unit's name.
func specifiers(text, unit string) (string, error) {
	whole := unit[:max(strings.LastIndexByte(unit, '.'), 0)]
	prefix, instance, _ := strings.Cut(whole, "@")
	var filled strings.Builder
	for {
		before, after, more := strings.Cut(text, "%")
		filled.WriteString(before)
		if !more {
			return filled.String(), nil
		}
		switch word := after[:min(1, len(after))]; word {
		case "%":
			filled.WriteString("%")
		case "i":
			filled.WriteString(instance)
		case "p":
			filled.WriteString(prefix)
		case "n":
			filled.WriteString(unit)
		case "N":
			filled.WriteString(whole)
		default:
			return "", fmt.Errorf("has %q, and knows %%i, %%p, %%n, %%N, and %%%% for a percent sign", "%"+word)
		}
		text = after[1:]
	}
}

// name is the service's: by default the unit's, without its kind and its instance, so
// that the instances of a template are copies of one service.
func (r *reading) name() string {
	l := r.last["Name"]
	name := cmp.Or(l.value, strings.TrimSuffix(strings.TrimSuffix(r.unit, ".service"), ".socket"))
	if l.value == "" {
		name, _, _ = strings.Cut(name, "@")
	}
	switch {
	case hosts.MeshName(name) == "":
		r.faults = append(r.faults, fmt.Errorf("%s: the name %.40q has neither letters nor digits", cmp.Or(l.at, r.unit), name))
	case len(name) > maxText:
		r.faults = append(r.faults, fmt.Errorf("%s: the name %.40q… has more than %d bytes", cmp.Or(l.at, r.unit), name, maxText))
	}
	return name
}

func (r *reading) mode() hosts.Mode {
	l := r.last["Mode"]
	switch mode := hosts.Mode(l.value); mode {
	case "", hosts.HTTPMode, hosts.TCPMode, hosts.WebSocketMode, hosts.HTTP2Mode, hosts.GRPCMode:
		return mode
	}
	r.fault(l, "%.40q is none of http, tcp, ws, http2, grpc", l.value)
	return ""
}

// ports pairs the Ports with the ServicePorts, in their order.
func (r *reading) ports() []hosts.Port {
	var ports []hosts.Port
	var seen []string
	for i, l := range r.lists["Port"] {
		if i == maxPorts {
			r.fault(l, "is one of more than %d", maxPorts)
			break
		}
		number, kind, typed := strings.Cut(l.value, "/")
		if typed && kind != "tcp" && kind != "udp" {
			r.fault(l, "%.40q is of neither tcp nor udp", l.value)
			continue
		}
		port := hosts.Port{Type: kind, Port: r.port(l, number, 1)}
		same := fmt.Sprint(port.Port, cmp.Or(kind, "tcp"))
		if port.Port != 0 && slices.Contains(seen, same) {
			r.fault(l, "%s is there twice", l.value)
		}
		seen, ports = append(seen, same), append(ports, port)
	}
	for i, l := range r.lists["ServicePort"] {
		number := r.port(l, l.value, 0)
		if i >= len(ports) {
			r.fault(l, "%s has no Port that it is for: the first is for the first, and so on", l.value)
			continue
		}
		ports[i].ServicePort = number
	}
	return ports
}

func (r *reading) port(l line, text string, least uint64) mesh.Port {
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil || number < least {
		r.fault(l, "%.40q is no port from %d to 65535", l.value, least)
		return 0
	}
	return mesh.Port(number)
}

func (r *reading) check() hosts.Check {
	kind, args := r.last["Check"], r.last["CheckArgs"]
	check := hosts.Check{
		Args: args.value, Interval: r.duration("Interval"), Timeout: r.duration("Timeout"),
		Healthy: r.count("Healthy"), Unhealthy: r.count("Unhealthy"),
	}
	if kind.value != "" {
		var err error
		if check.Kind, err = hosts.ParseCheckKind(kind.value); err != nil {
			r.fault(kind, "%v", err)
		}
	}
	switch {
	case check.Kind == hosts.CheckEngine:
		r.fault(kind, "%s is for containers", kind.value)
	case check.Kind == hosts.CheckExec && check.Args == "":
		r.fault(kind, "%s needs a command in CheckArgs", kind.value)
	case kind.value == "" && check.Args != "":
		r.fault(args, "needs a Check beside it, such as Check=http")
	case check.Kind == hosts.CheckNone:
		check.Args = ""
	}
	if check.Interval != 0 && check.Timeout > check.Interval {
		r.fault(r.last["Timeout"], "%s is longer than the Interval, %s", check.Timeout, check.Interval)
	}
	initial := r.last["Initial"]
	var err error
	if check.Initial, err = hosts.ParseInitial(initial.value); err != nil {
		r.fault(initial, "%v", err)
	}
	return check
}

func (r *reading) duration(key string) time.Duration {
	l := r.last[key]
	if l.value == "" {
		return 0
	}
	d, err := hosts.ParseCheckTime(l.value, hosts.LeastInterval)
	if err != nil {
		r.fault(l, "%v", err)
	}
	return d
}

func (r *reading) count(key string) int {
	l := r.last[key]
	if l.value == "" {
		return 0
	}
	n, err := hosts.ParseOutcomes(l.value)
	if err != nil {
		r.fault(l, "%v", err)
	}
	return n
}
