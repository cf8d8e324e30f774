package accesslog

import (
	"net/netip"
	"strings"

	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// AddressCaller begins the name of a caller that is known by its address alone.
const AddressCaller = "address/"

// beyond are the reasons (x-heddle-reason) that only the called service's sidecar gives.
var beyond = map[string]bool{"token": true, "caller": true}

// read makes of a report what is counted; false: nothing is.
func read(log string, gateway bool, r *report) (seen, bool) {
	if log == mesh.CallsReport {
		return readCall(gateway, r)
	}
	return readInbound(log, r)
}

// readCall reads what a proxy's own application, or a gateway's client, called. What
// no route of a gateway takes is a stranger's request, and no call of anybody.
func readCall(gateway bool, r *report) (seen, bool) {
	s := seen{peer: peer{name: serviceOf(r.cluster)}}
	if s.name == "" && !gateway && r.cluster == "" {
		s.name = askedFor(r.host)
	}
	if isPart(r.kind) {
		return s, s.name != ""
	}
	if r.code == "" || r.code == "0" || r.code == "-" { // TCP, or a client that did not wait
		s.connection(r)
		return s, s.name != ""
	}
	s.counted = true
	reason, local := r.reason, r.details != "via_upstream"
	if o := r.outcome(); o.denied && isReason(reason) && local != beyond[reason] {
		s.refused, s.undeclared, s.there, s.reason = true, reason == reasonUndeclared, beyond[reason], reason
	} else {
		s.fails(o, reason, local)
	}
	return s, s.name != ""
}

// fails notes an error, and what its caller saw of it.
func (s *seen) fails(o outcome, reason string, local bool) {
	if s.failed = o.failed; !s.failed || o.status == "" {
		return
	}
	switch {
	case isReason(reason):
		s.failure = o.status + " " + reason
	case local:
		s.failure = o.status + " " + noAnswer
	default:
		s.failure = o.status
	}
}

// What is said of errors that have no reason.
const noAnswer, noConnection = "no-answer", "no-connection"

const reasonUndeclared, reasonCaller, reasonTCP = "undeclared", "caller", "tcp"

func isReason(text string) bool {
	return text != "" && text != "-" && len(text) <= 32 && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz-_") == ""
}

// connection reads what became of one that has no answer.
func (s *seen) connection(r *report) {
	switch r.kind {
	case datav3.AccessLogType_TcpUpstreamConnected:
		s.counted = true
	case datav3.AccessLogType_TcpConnectionEnd:
		s.failed = r.lost && r.sent == 0
		s.counted = s.failed // else it was counted when it was made
		if s.failed {
			s.failure = noConnection
		}
	default: // HTTP: the client went away
		s.counted, s.unanswered = true, true
	}
}

// readInbound reads what was refused here, or who called in plain text.
func readInbound(log string, r *report) (seen, bool) {
	s := seen{peer: peer{in: true}}
	if log == mesh.StrangersReport {
		if _, err := netip.ParseAddr(r.address); err != nil {
			return s, false
		}
		s.name = AddressCaller + r.address
		part := isPart(r.kind)
		connection := r.kind == datav3.AccessLogType_TcpConnectionEnd // counted when it was made
		s.counted = !part && !connection
		if !part {
			s.fails(r.outcome(), r.reason, false)
		}
		return s, true
	}
	s.name = identityOf(r.peerID)
	if isPart(r.kind) || r.kind == datav3.AccessLogType_TcpUpstreamConnected { // it is told again when it ends
		return s, false
	}
	s.counted, s.refused, s.reason = true, true, r.reason
	if !isReason(s.reason) {
		s.reason = reasonCaller // would have been refused, or a connection was
	}
	return s, s.name != ""
}

// isPart says whether a report is of something that goes on.
func isPart(kind datav3.AccessLogType) bool {
	switch kind {
	case datav3.AccessLogType_DownstreamPeriodic, datav3.AccessLogType_TcpPeriodic, datav3.AccessLogType_DownstreamStart, datav3.AccessLogType_DownstreamTunnelSuccessfullyEstablished:
		return true
	}
	return false
}

// serviceOf is the service behind a cluster of translate's; "" for one that is none.
func serviceOf(cluster string) string {
	for _, prefix := range [...]string{"plain.", "push."} {
		cluster = strings.TrimPrefix(cluster, prefix)
	}
	if subset, is := strings.CutPrefix(cluster, "subset."); is {
		cluster, _, _ = strings.Cut(subset, ".")
	}
	cluster = strings.TrimPrefix(cluster, "all.")
	if !isLabel(cluster) {
		return "" // the gateway's for what cannot be called
	}
	return cluster
}

// askedFor is the host that was asked for, as it would be declared; Other for what
// can be no name of a host.
func askedFor(authority string) string {
	host := strings.ToLower(authority)
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") && strings.Trim(host[i+1:], "0123456789") == "" {
		host = host[:i]
	}
	host = strings.TrimSuffix(strings.TrimSuffix(host, "."), ".mesh")
	if host == "" || host == "-" {
		return ""
	}
	if len(host) > 253 || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789.-_:[]") != "" {
		return Other
	}
	return host
}

// identityOf is whom a SPIFFE ID names, as an edge does.
func identityOf(id string) string {
	_, path, is := strings.Cut(strings.TrimPrefix(id, "spiffe://"), "/")
	if !is {
		return ""
	}
	if name, is := strings.CutPrefix(path, "service/"); is && isLabel(name) {
		return name
	}
	if name, is := strings.CutPrefix(path, "gateway/"); is && isLabel(name) {
		return path
	}
	return Other
}

func isLabel(name string) bool {
	return name != "" && len(name) <= 63 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
