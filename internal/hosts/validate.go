package hosts

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Bounds of what is told of one service.
const (
	mostText   = 255                     // bytes of a name, an image, a label
	mostWord   = 32                      // bytes of a source, a mode, a health, a type of port
	mostID     = mostText - mostWord - 1 // with its source it names an entry of gossip
	mostPorts  = 512
	mostLabels = 64
)

// Validate says why a service can neither be told to hosts nor be believed of one:
// proxies would refuse what is made of it, or people could not read it.
func (s Service) Validate() error {
	var f mesh.Faults
	if MeshName(s.Name) == "" {
		f.Add("name", "%q has no letter a to z and no digit, of which the mesh makes the name to call it by", ShortReason(s.Name))
	}
	checkText(&f, "name", s.Name, mostText)
	checkText(&f, "id", s.ID, mostID)
	checkText(&f, "image", s.Image, mostText)
	checkText(&f, "source", s.Source, mostWord)
	checkText(&f, "proxyMode", string(s.Mode), mostWord)
	checkText(&f, "health", string(s.Health), mostWord)
	checkAddress(&f, "address", s.Address)
	if len(s.Ports) > mostPorts {
		f.Add("ports", "has %d; at most %d are allowed", len(s.Ports), mostPorts)
		return invalid(f)
	}
	for i, p := range s.Ports {
		p.validate(&f, fmt.Sprintf("ports[%d]", i))
	}
	if len(s.Labels) > mostLabels {
		f.Add("labels", "has %d; at most %d are allowed", len(s.Labels), mostLabels)
		return invalid(f)
	}
	for _, key := range slices.Sorted(maps.Keys(s.Labels)) {
		checkText(&f, "a label's name", key, mostText)
		checkText(&f, fmt.Sprintf("label %q", ShortReason(key)), s.Labels[key], mostText)
	}
	return invalid(f)
}

// mostFaults is how many a service is told of at a time.
const mostFaults = 3

func invalid(f mesh.Faults) error {
	switch {
	case len(f) == 0:
		return nil
	case len(f) > mostFaults:
		return fmt.Errorf("%s; and %d more", f[:mostFaults], len(f)-mostFaults)
	}
	return errors.New(f.String())
}

func (p Port) validate(f *mesh.Faults, path string) {
	checkText(f, path+".type", p.Type, mostWord)
	if p.Port < 1 || p.Port > 65535 {
		f.Add(path+".port", "%d is not a port: use 1 to 65535", p.Port)
	}
	if p.ServicePort < 0 || p.ServicePort > 65535 {
		f.Add(path+".servicePort", "%d is not a port: use 1 to 65535, or 0 to have proxies listen nowhere", p.ServicePort)
	}
	if p.Address.IsValid() {
		checkAddress(f, path+".address", p.Address)
	}
}

func checkText(f *mesh.Faults, path, text string, most int) {
	switch {
	case len(text) > most:
		f.Add(path, "has %d bytes; at most %d are allowed", len(text), most)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		f.Add(path, "%q has a sign that cannot be printed", text)
	}
}

func checkAddress(f *mesh.Faults, path string, address netip.Addr) {
	plain := address.Unmap()
	switch {
	case !address.IsValid():
		f.Add(path, "is missing")
	case address.Zone() != "":
		f.Add(path, "%s has a zone, which is another one on each host", ShortReason(address.String()))
	case plain.IsUnspecified(), plain.IsMulticast(), plain == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		f.Add(path, "%s is not the address of one host", address)
	}
}

// lastTime bounds the times that are shown: JSON has none later.
var lastTime = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// understood makes of what another version of Heddle may say what this one knows: a mode
// that it does not know is http, as if none were said, and with a health that it does not
// know a copy gets no requests.
func (s *Service) understood() {
	s.Reason = ShortReason(s.Reason)
	switch s.Mode {
	case "", HTTPMode, TCPMode, WebSocketMode, HTTP2Mode, GRPCMode:
	default:
		s.Mode = HTTPMode
	}
	switch s.Health {
	case "", Healthy, Unhealthy, Unknown, Draining:
	default:
		s.Health = Unknown
	}
	for _, at := range []*time.Time{&s.Created, &s.Updated} {
		if at.Before(time.Unix(0, 0)) || at.After(lastTime) {
			*at = time.Time{}
		}
	}
}
