package hosts

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// told gives a service as another host hears of it.
func told(t *testing.T, edit func(*Service)) (Service, error) {
	t.Helper()
	s := web("a", 31000, 8080)
	s.Source = "file"
	edit(&s)
	body, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return Decode(body)
}

// One host that says what Envoy refuses would freeze a service on all of them.
func TestWhatProxiesWouldRefuseIsNotBelieved(t *testing.T) {
	manyPorts, manyLabels := make([]Port, mostPorts+1), map[string]string{}
	for i := range manyPorts {
		manyPorts[i] = Port{Port: 1}
	}
	for i := range mostLabels + 1 {
		manyLabels[strings.Repeat("x", i+1)] = ""
	}
	for says, edit := range map[string]func(*Service){
		"ports[0].port: 700000 is not":                 func(s *Service) { s.Ports[0].Port = 700000 },
		"ports[0].port: -1 is not":                     func(s *Service) { s.Ports[0].Port = -1 },
		"ports[0].port: 0 is not":                      func(s *Service) { s.Ports[0].Port = 0 },
		"ports[0].servicePort: 700000 is not":          func(s *Service) { s.Ports[0].ServicePort = 700000 },
		"ports[0].servicePort: -8080 is not":           func(s *Service) { s.Ports[0].ServicePort = -8080 },
		"ports[0].address: ff02::1 is not the address": func(s *Service) { s.Ports[0].Address = netip.MustParseAddr("ff02::1") },
		"ports[0].type: has 33 bytes":                  func(s *Service) { s.Ports[0].Type = strings.Repeat("x", 33) },
		"and 509 more":                                 func(s *Service) { s.Ports = make([]Port, mostPorts) },
		"ports: has 513":                               func(s *Service) { s.Ports = manyPorts },
		"address: is missing":                          func(s *Service) { s.Address = netip.Addr{} },
		"address: 0.0.0.0 is not the address":          func(s *Service) { s.Address = netip.IPv4Unspecified() },
		"address: ::ffff:0.0.0.0 is not the address":   func(s *Service) { s.Address = netip.MustParseAddr("::ffff:0.0.0.0") },
		"address: 224.0.0.1 is not the address":        func(s *Service) { s.Address = netip.MustParseAddr("224.0.0.1") },
		"address: 255.255.255.255 is not":              func(s *Service) { s.Address = netip.MustParseAddr("255.255.255.255") },
		"address: fe80::1%eth0 has a zone":             func(s *Service) { s.Address = netip.MustParseAddr("fe80::1%eth0") },
		`name: "_" has no letter`:                      func(s *Service) { s.Name = "_" },
		"name: has 256 bytes":                          func(s *Service) { s.Name = strings.Repeat("x", 256) },
		`name: "web\x1b[2J" has a sign`:                func(s *Service) { s.Name = "web\x1b[2J" },
		"id: has 223 bytes":                            func(s *Service) { s.ID = strings.Repeat("x", 223) },
		"image: has 256 bytes":                         func(s *Service) { s.Image = strings.Repeat("x", 256) },
		"source: has 33 bytes":                         func(s *Service) { s.Source = strings.Repeat("x", 33) },
		`proxyMode: "a\nb" has a sign`:                 func(s *Service) { s.Mode = "a\nb" },
		`health: "a\nb" has a sign`:                    func(s *Service) { s.Health = "a\nb" },
		"labels: has 65":                               func(s *Service) { s.Labels = manyLabels },
		`a label's name: "a\tb" has a sign`:            func(s *Service) { s.Labels = map[string]string{"a\tb": ""} },
		`label "a": "\r" has a sign`:                   func(s *Service) { s.Labels = map[string]string{"a": "\r"} },
	} {
		s, err := told(t, edit)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q is wanted: %v", says, err)
			continue
		}
		if p := Refused("h1", s.Name, err); !strings.Contains(p.Message, says) || len(p.Service) > mostReason || strings.ContainsAny(p.Service, "\x1b\n") {
			t.Errorf("told is %+v", p)
		}
	}
	if _, err := told(t, func(s *Service) {
		s.Ports[0].ServicePort, s.Image, s.Address = 0, "größe:7", netip.MustParseAddr("fd00::7")
	}); err != nil {
		t.Errorf("what can be: %v", err)
	}
}

// What a later version of Heddle says, or a clock that is far off, harms nobody.
func TestWhatIsNotKnownYetIsTakenForSomethingKnown(t *testing.T) {
	s, err := told(t, func(s *Service) {
		s.Mode, s.Health = "http3", "degraded"
		s.Created, s.Updated = time.Unix(1<<60, 0), time.Unix(-1<<60, 0)
		s.Ports = append(s.Ports, Port{Type: "quic", Port: 31000, ServicePort: 8081})
	})
	if err != nil || s.Mode != HTTPMode || s.Health != Unknown || !s.Created.IsZero() || !s.Updated.IsZero() {
		t.Fatalf("%+v, %v", s, err)
	}
	if _, err := json.Marshal(s); err != nil {
		t.Errorf("the API cannot tell of it: %v", err)
	}
	f := NewFleet("self", nil)
	w := newWorld(f)
	w.told(f, "h1", Alive, []Service{s})
	if len(w.services) != 2 || len(w.instances) != 1 || w.services["web"].Port != 8080 {
		t.Errorf("proxies get %v, %v", w.services, w.instances)
	}
}

// What a host says that cannot be is its problem for as long as it says it.
func TestWhatIsNotBelievedIsAProblem(t *testing.T) {
	f := NewFleet("self", nil)
	p := Refused("h1", "bad", errors.New("why"))
	f.Set("h1", Alive, []Service{web("a", 1, 8080)}, p)
	f.Changes()
	if got := f.Problems(); len(got) != 1 || got[0] != p {
		t.Errorf("problems: %+v", got)
	}
	f.Set("h1", Alive, []Service{web("a", 1, 8080)})
	if got := f.Problems(); len(got) > 0 {
		t.Errorf("problems that are over: %+v", got)
	}
}
