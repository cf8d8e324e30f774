package haproxy

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// settings are what a configuration has beside its plan.
type settings struct {
	Address  netip.Addr // where listeners are
	Outbound mesh.Port  // calls by host name
	Threads  int
	// Unacknowledged is how long a server is given to acknowledge what it is sent; 0: as
	// the kernel has it.
	Unacknowledged time.Duration
	Generation     int // of configurations that were loaded: each has a socket of its own
}

// socketName is where the process that loaded a generation takes commands: sharing one
// path with the process before it, a command could reach either of them.
func socketName(generation int) string { return fmt.Sprintf("runtime.%d.sock", generation) }

const (
	masterSocket = "master.sock"
	reasonHeader = "x-heddle-reason" // as Envoys have it
	textPlain    = `content-type "text/plain; charset=utf-8"`
	// mostReloads is how many reloads a process survives that still has connections: each
	// such process takes some 10 MB.
	mostReloads = 50
	// longestLeft is for how long a connection outlives a reload at most.
	longestLeft = 24 * time.Hour
)

// render writes HAProxy's configuration. What others chose is in it only as what has
// been parsed: names that are labels, addresses, numbers.
func render(s settings, p plan) []byte {
	w := &writer{}
	w.global(s)
	w.byHost(s)
	for _, l := range p.Listeners {
		w.listener(s, l, p)
	}
	w.unknown()
	for _, one := range p.Services {
		w.service(s, one)
	}
	return w.Bytes()
}

type writer struct{ bytes.Buffer }

func (w *writer) section(format string, values ...any) { fmt.Fprintf(w, "\n"+format+"\n", values...) }
func (w *writer) line(format string, values ...any)    { fmt.Fprintf(w, "    "+format+"\n", values...) }

func (w *writer) global(s settings) {
	w.WriteString("# Written by the Heddle agent at each change. Changes by hand are lost.\nglobal\n")
	w.line("stats socket unix@%s mode 600 level admin expose-fd listeners", socketName(s.Generation))
	w.line("nbthread %d", s.Threads)
	w.line("fd-hard-limit 65536")
	w.line("hard-stop-after %s", milliseconds(longestLeft))
	w.line("mworker-max-reloads %d", mostReloads)
	w.section("defaults")
	w.line("timeout connect %s", milliseconds(defaultConnect))
	w.line("timeout server %s", milliseconds(defaultTimeout))
	w.line("timeout client %s", milliseconds(defaultIdle))
	w.line("timeout client-fin 30s")
	w.line("timeout http-request 60s")
	w.line("timeout http-keep-alive %s", milliseconds(defaultIdle))
	w.line("timeout tunnel %s", milliseconds(defaultIdle))
	w.line("option redispatch 1") // another attempt is made at another copy
	w.line("option tcpka")
	if s.Unacknowledged > 0 { // as Envoys of hosts: who says nothing is asked soon
		w.line("srvtcpka-idle 5s")
		w.line("srvtcpka-intvl 2s")
		w.line("srvtcpka-cnt 2")
	}
}

// frontend begins one of HTTP.
func (w *writer) frontend(s settings, name string, port mesh.Port) {
	w.section("frontend %s", name)
	w.line("mode http")
	w.bind(s, port)
	// Who is connected is asked to go with the next answer, rather than cut off while it
	// may be about to ask.
	w.line("option idle-close-on-response")
}

// byHost is where services are called by their names.
func (w *writer) byHost(s settings) {
	w.frontend(s, "byhost", s.Outbound)
	w.line(`http-request set-var(txn.name) req.hdr(host),field(1,:),lower,regsub(\.$,),regsub(\.mesh$,)`)
	w.line("use_backend http.%%[var(txn.name)]")
	w.line("default_backend unknown")
}

func (w *writer) listener(s settings, l listener, p plan) {
	name := fmt.Sprintf("port.%d", l.Port)
	backend := "http." + string(l.Service)
	if l.TCP {
		backend = "tcp." + string(l.Service)
		w.section("frontend %s", name)
		w.line("mode tcp")
		w.bind(s, l.Port)
	} else {
		w.frontend(s, name, l.Port)
	}
	for _, one := range p.Services {
		if one.Name == l.Service {
			w.line("timeout client %s", milliseconds(one.Idle))
		}
	}
	w.line("default_backend %s", backend)
}

func (w *writer) refusal(status int, reason, body, condition string) {
	if condition != "" {
		condition = " if " + condition
	}
	w.line(`http-request return status %d %s lf-string "%s\n" hdr %s %s%s`, status, textPlain, body, reasonHeader, reason, condition)
}

// unknown answers calls of names that no service has, in the words of a host's Envoy.
func (w *writer) unknown() {
	w.section("backend unknown")
	w.line("mode http")
	w.refusal(400, "no-host", "heddle: the request has no host: name a service of the fleet in its Host header (:authority in HTTP/2)", "!{ var(txn.name) -m found } || { var(txn.name) -m len 0 }")
	w.refusal(404, "unknown", `heddle: no host of the fleet runs a service \"%[var(txn.name)]\" that this host serves`, "")
}

func (w *writer) service(of settings, s service) {
	if s.Protocol == mesh.TCP {
		w.tcp(of, s)
		return
	}
	w.section("backend %s", backendName(s))
	w.line("mode http")
	w.line("balance %s", algorithm(s))
	w.line("http-reuse always")
	w.line("retries %d", s.Retries)
	// What never reached a server may always be sent again; what may have, only if it
	// changes nothing.
	w.line("retry-on conn-failure empty-response")
	w.line("http-request disable-l7-retry unless { method GET HEAD OPTIONS }")
	// A process that a reload has replaced counts no servers, and still has them.
	w.refusal(503, "no-copy", fmt.Sprintf("heddle: no copy of service %s is ready", s.Name), "{ nbsrv eq 0 } !{ stopping }")
	w.line(`http-error status 503 %s string "heddle: no copy of service %s could be reached\n" hdr %s unreached`, textPlain, s.Name, reasonHeader)
	w.line(`http-error status 504 %s string "heddle: service %s did not answer in time\n" hdr %s timeout`, textPlain, s.Name, reasonHeader)
	w.timeouts(s)
	w.servers(of, s)
}

// tcp is for a service without HTTP, which cannot be called by name.
func (w *writer) tcp(of settings, s service) {
	w.section("backend http.%s", s.Name)
	w.line("mode http")
	instead := fmt.Sprintf("connect to its own port (%d) instead of asking for it by host name", s.Port)
	if s.Port == 0 {
		instead = "it cannot be asked for by host name, and this host has no port for it"
	}
	w.refusal(421, "tcp", fmt.Sprintf("heddle: service %s speaks tcp: %s", s.Name, instead), "")
	w.section("backend %s", backendName(s))
	w.line("mode tcp")
	w.line("balance %s", algorithm(s))
	w.line("retries %d", s.Retries)
	w.timeouts(s)
	w.servers(of, s)
}

func (w *writer) timeouts(s service) {
	w.line("timeout connect %s", milliseconds(s.Connect))
	w.line("timeout queue %s", milliseconds(s.Connect))
	w.line("timeout server %s", milliseconds(s.Answer))
	w.line("timeout tunnel %s", milliseconds(s.Idle))
}

func (w *writer) servers(of settings, s service) {
	options := ""
	switch s.Protocol {
	case mesh.HTTP:
		options = " pool-purge-delay 1s" // a server may be as impatient as 5 s
	case mesh.HTTP2, mesh.GRPC:
		options = " proto h2"
	}
	if of.Unacknowledged > 0 {
		options += " tcp-ut " + milliseconds(of.Unacknowledged)
	}
	for i, one := range s.Slots {
		address, disabled := one.Address, " disabled"
		if !address.IsValid() {
			address = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 1)
		}
		if one.State == ready {
			disabled = ""
		}
		w.line("server %s %s weight %d%s%s", slotName(i), placeText(address.Addr(), mesh.Port(address.Port())), one.Weight, options, disabled)
	}
}

func backendName(s service) string {
	if s.Protocol == mesh.TCP {
		return "tcp." + string(s.Name)
	}
	return "http." + string(s.Name)
}

func slotName(i int) string { return fmt.Sprintf("s%d", i+1) }

// algorithm is the nearest that allows servers to come and go.
func algorithm(s service) string {
	switch s.Policy {
	case mesh.LeastRequest:
		return "leastconn"
	case mesh.Random:
		return "random"
	case mesh.RingHash, mesh.Maglev:
		return "source\n    hash-type consistent"
	default:
		return "roundrobin"
	}
}

// placeText writes an address so that it is taken for nothing else.
func placeText(ip netip.Addr, port mesh.Port) string {
	if ip.Is6() {
		return fmt.Sprintf("ipv6@[%s]:%d", ip, port)
	}
	return fmt.Sprintf("ipv4@%s:%d", ip, port)
}

func (w *writer) bind(s settings, port mesh.Port) {
	both := ""
	if s.Address.Is6() && s.Address.IsUnspecified() {
		both = " v4v6"
	}
	w.line("bind %s%s", placeText(s.Address, port), both)
}

// longestTime is less than HAProxy's, of 2^31 milliseconds.
const longestTime = 20 * 24 * time.Hour

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%dms", max(min(d, longestTime).Milliseconds(), 1))
}
