package hosts

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Mode is how a proxy passes on what it takes for a service.
type Mode string

// Modes; Sidecar's ProxyMode has the first three.
const (
	HTTPMode      Mode = "http" // default; WebSocket upgrades pass as well
	TCPMode       Mode = "tcp"
	WebSocketMode Mode = "ws" // http, said aloud
	HTTP2Mode     Mode = "http2"
	GRPCMode      Mode = "grpc"
)

func (m Mode) protocol() mesh.Protocol {
	switch m {
	case TCPMode:
		return mesh.TCP
	case HTTP2Mode:
		return mesh.HTTP2
	case GRPCMode:
		return mesh.GRPC
	default:
		return mesh.HTTP
	}
}

// FromMesh is the source of copies that a mesh with a server runs: a bridge tells of them.
const FromMesh = "mesh"

// Unclaimed is the claim of what has to wait for its turn: its host does not know yet what
// others claim.
const Unclaimed = math.MaxUint64 - 1

// Health is what is known of a service's copy.
type Health string

// Healths.
const (
	Healthy   Health = "healthy"
	Unhealthy Health = "unhealthy"
	Unknown   Health = "unknown"  // not checked yet
	Draining  Health = "draining" // finishes what it has
)

// Port is a port of a service.
type Port struct {
	Type string `json:"type,omitempty" cbor:"1,keyasint,omitempty"` // tcp (default) or udp
	// Port is where the service is reached on its address.
	Port mesh.Port `json:"port" cbor:"2,keyasint"`
	// ServicePort is where proxies listen for it on each host; 0: nowhere.
	ServicePort mesh.Port `json:"servicePort,omitempty" cbor:"3,keyasint,omitempty"`
	// ByName has it called by the service's name alone: proxies do not listen at ServicePort.
	ByName bool `json:"byName,omitempty" cbor:"5,keyasint,omitempty"`
	// Address is where this port is reached, if it is not the service's address.
	Address netip.Addr `json:"address,omitzero" cbor:"4,keyasint,omitzero"`
}

// Service is one copy of a service on one host, as the host's agent says.
type Service struct {
	ID      string     `json:"id" cbor:"1,keyasint"`                            // unique on its host
	Name    string     `json:"name" cbor:"2,keyasint"`                          // as its owner calls it: any text
	Image   string     `json:"image,omitempty" cbor:"3,keyasint,omitempty"`     // what it was made of: an image, a version
	Address netip.Addr `json:"address" cbor:"4,keyasint"`                       // where it is reached
	Ports   []Port     `json:"ports,omitempty" cbor:"5,keyasint,omitempty"`     // sorted by type and port
	Mode    Mode       `json:"proxyMode,omitempty" cbor:"6,keyasint,omitempty"` // default http
	Health  Health     `json:"health,omitempty" cbor:"7,keyasint,omitempty"`    // default healthy
	Source  string     `json:"source,omitempty" cbor:"8,keyasint,omitempty"`    // what found it: docker, file, systemd
	// Created is when it began, by its host's clock; it is shown, and decides nothing.
	Created time.Time         `json:"created,omitzero" cbor:"9,keyasint,omitzero"`
	Labels  map[string]string `json:"labels,omitempty" cbor:"10,keyasint,omitempty"`
	// Updated is when what its host says of it last changed, by that host's clock; it is
	// shown, and decides nothing.
	Updated time.Time `json:"updated,omitzero" cbor:"11,keyasint,omitzero"`
	// Claim orders who wanted a port first: one more than any that the host had heard of
	// when it began to run services of this name. No clock is read.
	Claim uint64 `json:"-" cbor:"12,keyasint,omitempty"`
	// Reason is why it is not healthy, as [ShortReason] gives it. It changes seldom: not
	// with each check.
	Reason string `json:"reason,omitempty" cbor:"13,keyasint,omitempty"`

	// Known to its own host alone:
	Check    Check  `json:"-" cbor:"-"`
	Listener string `json:"-" cbor:"-"` // the URL to which it wants the fleet's changes posted
}

var encoding = func() cbor.EncMode {
	mode, err := cbor.EncOptions{Sort: cbor.SortCoreDeterministic, Time: cbor.TimeUnix, TextMarshaler: cbor.TextMarshalerTextString}.EncMode()
	if err != nil {
		panic(err)
	}
	return mode
}()

var decoding = func() cbor.DecMode {
	mode, err := cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, TagsMd: cbor.TagsForbidden, IndefLength: cbor.IndefLengthForbidden, MaxNestedLevels: 8, MaxArrayElements: 1 << 10, MaxMapPairs: 1 << 10, TextUnmarshaler: cbor.TextUnmarshalerTextString}.DecMode()
	if err != nil {
		panic(err)
	}
	return mode
}()

// Encode gives the bytes that hosts tell each other: the same for the same service. It
// fails for what others would not understand: more than 1,024 ports or labels, text that is
// not UTF-8.
func (s Service) Encode() ([]byte, error) {
	body, err := s.encode()
	if err != nil {
		return nil, err
	}
	if err := decoding.Unmarshal(body, new(Service)); err != nil {
		return nil, fmt.Errorf("other hosts would not understand it: %w", err)
	}
	return body, nil
}

func (s Service) encode() ([]byte, error) {
	s.Ports = slices.Clone(s.Ports)
	slices.SortFunc(s.Ports, func(a, b Port) int { return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Port, b.Port)) })
	return encoding.Marshal(s)
}

// Decode reads them. Fields that a later version adds are not read. With an error comes
// what could be read of a service that is not to be believed.
func Decode(body []byte) (Service, error) {
	var s Service
	if err := decoding.Unmarshal(body, &s); err != nil {
		return s, fmt.Errorf("what its host says is not understood: %s", ShortReason(err.Error()))
	}
	if err := s.Validate(); err != nil {
		return s, err
	}
	s.understood()
	return s, nil
}

// Same says whether two services are told alike but for when they were.
func (s Service) Same(other Service) bool {
	s.Updated, other.Updated = time.Time{}, time.Time{}
	a, err := s.encode()
	if err != nil {
		return false
	}
	b, err := other.encode()
	return err == nil && bytes.Equal(a, b)
}
