package accesslog

import (
	"errors"

	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	alsv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// message is a message of a stream. It reads itself from the wire, where the gRPC
// server's codec lets it: an entry has some forty fields, of which a call needs
// eight, and to decode them all takes several times as long as to count the call.
// What else there is, who reports above all, is decoded as ever.
type message struct {
	*alsv3.StreamAccessLogsMessage // without entries, if it read itself
	reports                        []report
	all                            int // entries there were
}

// report is what is read of an entry; nothing of it has been looked at.
type report struct {
	kind                                datav3.AccessLogType
	cluster, address                    string
	code, details, reason, host, peerID string
	grpc                                string // the grpc-status; "-" of what is no gRPC
	lost                                bool   // no connection was made
	sent                                uint64
}

// from waits for the next message of a stream.
func (m *message) from(g grpc.ServerStream) error {
	m.StreamAccessLogsMessage, m.reports, m.all = &alsv3.StreamAccessLogsMessage{}, m.reports[:0], 0
	if err := g.RecvMsg(m); err != nil || m.GetTcpLogs() == nil {
		return err
	}
	data, err := proto.Marshal(m.StreamAccessLogsMessage) // another codec decoded it
	if err != nil {
		return err
	}
	return m.UnmarshalWire(mem.BufferSlice{mem.SliceBuffer(data)})
}

var errWire = errors.New("the report cannot be read")

// UnmarshalWire is called by the server's codec.
func (m *message) UnmarshalWire(data mem.BufferSlice) error {
	wire := data.Materialize()
	m.StreamAccessLogsMessage, m.reports, m.all = &alsv3.StreamAccessLogsMessage{}, m.reports[:0], 0
	return fields(wire, func(number protowire.Number, value []byte, _ uint64) error {
		switch number {
		case 1: // identifier
			m.Identifier = &alsv3.StreamAccessLogsMessage_Identifier{}
			return proto.Unmarshal(value, m.Identifier)
		case 3: // tcp_logs
			return fields(value, func(number protowire.Number, value []byte, _ uint64) error {
				if number != 1 {
					return nil
				}
				if m.all++; m.all > maxEntries {
					return nil
				}
				m.reports = append(m.reports, report{})
				return m.reports[len(m.reports)-1].read(value)
			})
		}
		return nil
	})
}

// fields calls each with the fields of a message: bytes or a number.
func fields(wire []byte, each func(number protowire.Number, value []byte, varint uint64) error) error {
	for len(wire) > 0 {
		number, kind, n := protowire.ConsumeTag(wire)
		if n < 0 {
			return errWire
		}
		wire = wire[n:]
		var value []byte
		var varint uint64
		switch kind {
		case protowire.BytesType:
			value, n = protowire.ConsumeBytes(wire)
		case protowire.VarintType:
			varint, n = protowire.ConsumeVarint(wire)
		default:
			n = protowire.ConsumeFieldValue(number, kind, wire)
		}
		if n < 0 {
			return errWire
		}
		wire = wire[n:]
		if err := each(number, value, varint); err != nil {
			return err
		}
	}
	return nil
}

// read reads a TCPAccessLogEntry.
func (r *report) read(entry []byte) error {
	return fields(entry, func(number protowire.Number, value []byte, _ uint64) error {
		switch number {
		case 1: // common_properties
			return fields(value, r.common)
		case 2: // connection_properties
			return fields(value, func(number protowire.Number, _ []byte, varint uint64) error {
				if number == 2 { // sent_bytes
					r.sent = varint
				}
				return nil
			})
		}
		return nil
	})
}

func (r *report) common(number protowire.Number, value []byte, varint uint64) error {
	switch number {
	case 15: // upstream_cluster
		r.cluster = string(value)
	case 16: // response_flags
		return fields(value, func(number protowire.Number, _ []byte, varint uint64) error {
			switch number {
			case 2, 6, 16, 25: // no_healthy_upstream, upstream_connection_failure, upstream_retry_limit_exceeded, no_cluster_found
				r.lost = r.lost || varint != 0
			}
			return nil
		})
	case 20: // downstream_direct_remote_address
		return fields(value, func(number protowire.Number, value []byte, _ uint64) error {
			if number != 1 { // socket_address
				return nil
			}
			return fields(value, func(number protowire.Number, value []byte, _ uint64) error {
				if number == 2 { // address
					r.address = string(value)
				}
				return nil
			})
		})
	case 22: // custom_tags, a map
		return r.tag(value)
	case 33: // access_log_type
		r.kind = datav3.AccessLogType(varint)
	}
	return nil
}

func (r *report) tag(entry []byte) error {
	var name, text []byte
	err := fields(entry, func(number protowire.Number, value []byte, _ uint64) error {
		switch number {
		case 1:
			name = value
		case 2:
			text = value
		}
		return nil
	})
	switch string(name) {
	case mesh.ReportedCode:
		r.code = short(text)
	case mesh.ReportedDetails:
		r.details = short(text)
	case mesh.ReportedReason:
		r.reason = short(text)
	case mesh.ReportedGRPC:
		r.grpc = short(text)
	case mesh.ReportedHost:
		r.host = string(text)
	case mesh.ReportedPeer:
		r.peerID = string(text)
	}
	return err
}

// short spares the memory of texts that nearly all reports have.
func short(text []byte) string {
	switch string(text) {
	case "200":
		return "200"
	case "via_upstream":
		return "via_upstream"
	case "-":
		return "-"
	case "0":
		return "0"
	}
	return string(text)
}
