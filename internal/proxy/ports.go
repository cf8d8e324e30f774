package proxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// checkPorts refuses ports that something else listens on. Envoy would say so
// too, but late, and not at all when that something is another Envoy of the same
// user: both set SO_REUSEPORT and would get each other's connections by turns.
func checkPorts(b BootstrapConfig) error {
	p := b.Proxy
	if p.Gateway != nil {
		var faults mesh.Faults
		for _, one := range b.listeners() {
			if one.port != 0 {
				if fault := PortFault(one.address, one.port); fault != "" {
					faults.Add(one.flag, "%s", fault)
				}
			}
		}
		return mesh.Invalid("listen for the gateway", faults)
	}
	outbound := p.OutboundAddress
	if outbound == "" {
		outbound = mesh.DefaultLoopback
	}
	outboundPort := p.OutboundPort
	if outboundPort == 0 {
		outboundPort = mesh.DefaultOutboundPort
	}
	inbound := p.InboundAddress
	if inbound == "" {
		inbound = mesh.DefaultInboundAddress
	}
	var faults mesh.Faults
	check := func(flag, address string, port mesh.Port) {
		if port == 0 {
			return
		}
		if fault := PortFault(address, port); fault != "" {
			faults.Add(flag, "%s", fault)
		}
	}
	if p.AppPort != 0 {
		check("--inbound-port", inbound, p.InboundPort)
	}
	if p.AppPort != 0 && p.Intercept.Transparent() {
		if err := mayBeTransparent(); err != nil {
			faults.Add("--intercept-mode", "%v", err)
		}
	}
	check("--outbound-port", outbound, outboundPort)
	if p.Intercept != nil {
		check("--intercept-port", mesh.DefaultLoopback, interceptPort(p))
	}
	check("--admin-port", adminAddress, b.AdminPort)
	for _, name := range slices.Sorted(maps.Keys(p.DependencyPorts)) {
		check(dependencyFlag(string(name)), outbound, p.DependencyPorts[name])
	}
	return mesh.Invalid("listen for the sidecar", faults)
}

// PortFault says why nothing can listen there now, and what to do; "": something can.
func PortFault(address string, port mesh.Port) string {
	at := net.JoinHostPort(address, strconv.Itoa(int(port)))
	probe, err := net.Listen("tcp", at) //nolint:noctx // it does not block
	if err == nil {
		probe.Close()
		return ""
	}
	for _, one := range bindErrors {
		if errors.Is(err, one) {
			return bindFault(at, one)
		}
	}
	return err.Error()
}

// bindErrors are those that there are plain words for.
var bindErrors = []syscall.Errno{syscall.EADDRINUSE, syscall.EACCES, syscall.EADDRNOTAVAIL}

func bindFault(at string, err syscall.Errno) string {
	switch err {
	case syscall.EADDRINUSE:
		return fmt.Sprintf("something else listens on %s already: end it, or choose another port", at)
	case syscall.EACCES:
		return fmt.Sprintf("this user may not listen on %s: choose a port above 1023, or grant CAP_NET_BIND_SERVICE", at)
	default:
		host, _, _ := net.SplitHostPort(at)
		return fmt.Sprintf("%s is no address of this machine", host)
	}
}

// bindRefusal is what Envoy says of a listener that cannot have its port.
var bindRefusal = regexp.MustCompile(`cannot bind '([^']*)': ([^;\n]*)`)

// BindFault says in plain words why Envoy could not listen, and what to do; "": it
// refused for something else.
func BindFault(words string) string {
	m := bindRefusal.FindStringSubmatch(words)
	if m == nil {
		return ""
	}
	for _, one := range bindErrors {
		if strings.EqualFold(strings.TrimSpace(m[2]), one.Error()) {
			return bindFault(m[1], one)
		}
	}
	return "Envoy says: " + m[0]
}

// TakenPlace gives where Envoy could not listen because something else did.
func TakenPlace(words string) (place netip.AddrPort, ok bool) {
	m := bindRefusal.FindStringSubmatch(words)
	if m == nil || !strings.EqualFold(strings.TrimSpace(m[2]), syscall.EADDRINUSE.Error()) {
		return place, false
	}
	place, err := netip.ParseAddrPort(m[1])
	return place, err == nil
}

// portPoll is the longest pause between two looks whether a port is free again.
const portPoll = time.Second

// awaitPorts waits until nothing else has the ports on which the last Envoy
// listened. One that starts while a port is taken is refused its listener, says
// so to the control plane, and is rightly not sent the same again: it would stay
// without for good. false: ctx ended first.
//
// A dependency's own port is waited for, but not for ever: the others are not
// to be kept waiting for one that may no longer be asked for.
func (r *Runner) awaitPorts(ctx context.Context) bool {
	pauses := newPauses(portPoll)
	began, told := time.Now(), time.Time{}
	for {
		fault, needed := r.taken()
		switch {
		case fault == "":
			if !told.IsZero() {
				r.log.Info("the ports are free again", "after", time.Since(began).Round(time.Millisecond))
			}
			return true
		case !needed && time.Since(began) > longestWait:
			r.log.Error("starting Envoy without the listener of a dependency", "error", fault)
			return true
		case told.IsZero() || time.Since(told) > explainEvery:
			told = time.Now()
			r.log.Error("Envoy cannot be started again yet: waiting for its port", "error", fault)
			r.suffer("Envoy cannot be started again yet: waiting for its port", errors.New(fault))
		}
		if !sleep(ctx, pauses.NextBackOff()) {
			return false
		}
	}
}

// taken gives the first fault among the ports on which the last Envoy listened,
// those without which the sidecar cannot serve first.
func (r *Runner) taken() (fault string, needed bool) {
	for _, name := range slices.SortedFunc(maps.Keys(r.held), func(a, b string) int {
		if isNeeded(a) != isNeeded(b) {
			if isNeeded(a) {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	}) {
		at := r.held[name]
		if fault := PortFault(at.Addr().String(), mesh.Port(at.Port())); fault != "" {
			return flagOf(name) + ": " + fault, isNeeded(name)
		}
	}
	return "", false
}

// isNeeded: without the listener the sidecar is of no use.
func isNeeded(listener string) bool {
	return slices.ContainsFunc([]string{inboundPrefix, outboundPrefix, transparentPrefix, httpPrefix, httpsPrefix}, func(prefix string) bool {
		return strings.HasPrefix(listener, prefix)
	})
}

// flagOf names the flag that chooses the listener's port.
func flagOf(listener string) string {
	switch {
	case strings.HasPrefix(listener, inboundPrefix):
		return "--inbound-port"
	case strings.HasPrefix(listener, outboundPrefix):
		return "--outbound-port"
	case strings.HasPrefix(listener, transparentPrefix):
		return "--intercept-port"
	case strings.HasPrefix(listener, httpPrefix):
		return "--http-port"
	case strings.HasPrefix(listener, httpsPrefix), strings.HasPrefix(listener, http3Prefix):
		return "--https-port"
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(listener, dependencyPrefix), ".")
	return dependencyFlag(name)
}

func dependencyFlag(name string) string { return "--dependency-port " + name + "=PORT" }

// unbound tells, for a listener that Envoy refused, that it could not have the
// port, and which flag chooses another; "" when it was refused for something else.
func unbound(refusal string) string {
	if !strings.Contains(refusal, "cannot bind") {
		return ""
	}
	listener, _, _ := strings.Cut(refusal, ": ")
	return "Envoy cannot listen: " + refusal + "; end what has the port, or choose another (" + flagOf(listener) + ")"
}
