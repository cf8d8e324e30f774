package meshdns

import (
	"encoding/binary"
	"strings"

	"github.com/miekg/dns"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

const (
	zone = mesh.Domain + "."
	// ttl is how long an answer may be kept, in seconds. It never changes.
	ttl = 60
	// udpSize is what is said to be taken over UDP (DNS flag day 2020).
	udpSize   = 1232
	headerLen = 12
)

// respondsTo says what becomes of a message: an answer, or nil. forward: it is a
// query for others to answer.
func respondsTo(raw []byte) (answer []byte, forward bool) {
	if len(raw) < headerLen || raw[2]&0x80 != 0 { // no header, or itself an answer: a word back could go on for ever
		return nil, false
	}
	var query dns.Msg
	if err := query.Unpack(raw); err != nil {
		return failure(raw, dns.RcodeFormatError), false
	}
	if query.Opcode != dns.OpcodeQuery {
		return failure(raw, dns.RcodeNotImplemented), false
	}
	if len(query.Question) != 1 {
		return failure(raw, dns.RcodeFormatError), false
	}
	if _, _, err := question(raw); err != nil { // the library overlooks a question that is cut off
		return failure(raw, dns.RcodeFormatError), false
	}
	asked := query.Question[0]
	if asked.Qtype == dns.TypeAXFR || asked.Qtype == dns.TypeIXFR { // many messages, and not for applications
		return failure(raw, dns.RcodeNotImplemented), false
	}
	if !dns.IsSubDomain(zone, dns.CanonicalName(asked.Name)) {
		return nil, true
	}
	reply := own(&query, asked)
	packed, err := reply.Pack()
	if err != nil {
		return failure(raw, dns.RcodeServerFailure), false
	}
	return packed, false
}

// own answers for a name of the mesh.
func own(query *dns.Msg, asked dns.Question) *dns.Msg {
	reply := new(dns.Msg).SetReply(query)
	reply.Authoritative, reply.RecursionAvailable = true, true
	if option := query.IsEdns0(); option != nil {
		reply.SetEdns0(udpSize, option.Do())
		if option.Version() != 0 {
			reply.Authoritative = false
			reply.Rcode = dns.RcodeBadVers // RFC 6891, section 6.1.3
			return reply
		}
	}
	if asked.Qclass != dns.ClassINET && asked.Qclass != dns.ClassANY {
		reply.Rcode = dns.RcodeRefused
		return reply
	}
	name := strings.TrimSuffix(dns.CanonicalName(asked.Name), "."+zone)
	switch {
	case dns.CanonicalName(asked.Name) == zone:
		if asked.Qtype == dns.TypeSOA {
			reply.Answer = []dns.RR{authority()}
			return reply
		}
	case !mesh.ServiceName(name).Valid():
		reply.Rcode = dns.RcodeNameError
	case asked.Qtype == dns.TypeA || asked.Qtype == dns.TypeANY:
		reply.Answer = []dns.RR{&dns.A{
			Hdr: dns.RR_Header{Name: asked.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: ttl},
			A:   mesh.VirtualAddress(mesh.ServiceName(name)).AsSlice(),
		}}
		return reply
	}
	reply.Ns = []dns.RR{authority()} // how long that there is nothing may be kept (RFC 2308)
	return reply
}

func authority() dns.RR {
	return &dns.SOA{
		Hdr: dns.RR_Header{Name: zone, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: ttl},
		Ns:  "heddle." + zone, Mbox: "heddle." + zone,
		Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: ttl,
	}
}

// failure answers a message with nothing but a code, and the question if it can be read.
func failure(raw []byte, code int) []byte {
	reply := &dns.Msg{}
	reply.Id, reply.Response, reply.Rcode, reply.RecursionAvailable = binary.BigEndian.Uint16(raw), true, code, true
	reply.RecursionDesired = raw[2]&1 != 0
	reply.Opcode = int(raw[2]>>3) & 0xF
	var query dns.Msg
	if query.Unpack(raw) == nil && len(query.Question) == 1 {
		reply.Question = query.Question
		if option := query.IsEdns0(); option != nil {
			reply.SetEdns0(udpSize, option.Do())
		}
	}
	if packed, err := reply.Pack(); err == nil {
		return packed
	}
	return nil
}
