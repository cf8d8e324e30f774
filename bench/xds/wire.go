package main

import (
	"errors"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// The type URLs that a sidecar asks for, in the order in which it does.
const (
	typeCluster  = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	typeEndpoint = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	typeListener = "type.googleapis.com/envoy.config.listener.v3.Listener"
	typeRoute    = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
)

// deltaMethod is the call of an aggregated delta stream.
const deltaMethod = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"

// raw passes messages through as bytes, so that neither the floor nor the
// clients spend their time on decoding.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, errors.New("the raw codec sends bytes only")
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	read, ok := v.(func([]byte) error)
	if !ok {
		return errors.New("the raw codec hands bytes to a function only")
	}
	whole := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer whole.Free()
	return read(whole.ReadOnlyData())
}

// fields goes through the fields of a message that are strings, bytes or
// messages, and passes over the others.
func fields(b []byte, each func(number protowire.Number, value []byte)) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
				return protowire.ParseError(n)
			}
			b = b[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		each(number, value)
		b = b[n:]
	}
	return nil
}

// request is a DeltaDiscoveryRequest.
type request struct {
	node      string
	typeURL   string
	subscribe []string
	initial   map[string]string
	nonce     string
}

func (r request) encode() []byte {
	var b []byte
	text := func(b []byte, number protowire.Number, s string) []byte {
		if s == "" {
			return b
		}
		return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), s)
	}
	if r.node != "" {
		b = protowire.AppendBytes(protowire.AppendTag(b, 1, protowire.BytesType), text(nil, 1, r.node))
	}
	b = text(b, 2, r.typeURL)
	for _, name := range r.subscribe {
		b = text(b, 3, name)
	}
	for name, version := range r.initial {
		b = protowire.AppendBytes(protowire.AppendTag(b, 5, protowire.BytesType), text(text(nil, 1, name), 2, version))
	}
	return text(b, 6, r.nonce)
}

func decodeRequest(b []byte) (r request, err error) {
	err = fields(b, func(number protowire.Number, value []byte) {
		switch number {
		case 2:
			r.typeURL = string(value)
		case 6:
			r.nonce = string(value)
		}
	})
	return r, err
}

// response is what a client needs of a DeltaDiscoveryResponse. Its fields are
// valid for as long as the bytes are.
type response struct{ typeURL, nonce []byte }

// decodeResponse calls each for every resource; bytes is its size on the wire.
func decodeResponse(b []byte, each func(name, version []byte, bytes int)) (r response, err error) {
	err = fields(b, func(number protowire.Number, value []byte) {
		switch number {
		case 2:
			var name, version []byte
			err := fields(value, func(number protowire.Number, value []byte) {
				switch number {
				case 1:
					version = value
				case 3:
					name = value
				}
			})
			if err == nil {
				each(name, version, len(value))
			}
		case 4:
			r.typeURL = value
		case 5:
			r.nonce = value
		}
	})
	return r, err
}

// encodeResponse writes a DeltaDiscoveryResponse of some resources.
func encodeResponse(typeURL, nonce string, resources []encoded) []byte {
	bytesField := func(b []byte, number protowire.Number, v []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), v)
	}
	out := bytesField(nil, 1, []byte("0123456789abcdef"))
	for _, r := range resources {
		one := bytesField(nil, 1, []byte("0123456789abcdef"))
		one = bytesField(one, 2, bytesField(bytesField(nil, 1, []byte(r.Type)), 2, r.Body))
		one = bytesField(one, 3, []byte(r.Name))
		out = bytesField(out, 2, one)
	}
	out = bytesField(out, 4, []byte(typeURL))
	return bytesField(out, 5, []byte(nonce))
}
