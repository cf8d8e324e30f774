package hosts

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestServicesAreToldAsTheyAre(t *testing.T) {
	s := Service{
		ID: "0123456789ab", Name: "Some_Service", Image: "shop:7", Address: netip.MustParseAddr("10.0.0.7"), Mode: GRPCMode, Health: Draining,
		Ports: []Port{{Type: "udp", Port: 53}, {Port: 31000, ServicePort: 8080}}, Source: "docker", Created: time.Unix(1700000000, 0).UTC(),
		Labels: map[string]string{"b": "2", "a": "1"}, Claim: 7, Updated: time.Unix(1700000001, 0).UTC(),
	}
	body, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	sorted := s
	sorted.Ports = []Port{s.Ports[1], s.Ports[0]}
	if diff := cmp.Diff(sorted, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Error(diff)
	}
	again, err := sorted.Encode()
	if err != nil || !bytes.Equal(body, again) {
		t.Errorf("the same service in another order is told in other bytes: it would be sent as a change (%v)", err)
	}
	if s.Ports[0].Type != "udp" {
		t.Error("telling of a service changed it")
	}
	if len(body) > 160 {
		t.Errorf("a service of a usual size takes %d bytes", len(body))
	}
}

func FuzzDecode(f *testing.F) {
	body, err := web("a", 1, 2).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := Decode(body)
		if err != nil {
			return
		}
		fleet := NewFleet("self", nil)
		fleet.Set("h", Alive, []Service{s})
		for _, change := range fleet.Changes() {
			if change.Service != nil && len(change.Service.Name) > 63 {
				t.Errorf("a name of %d bytes", len(change.Service.Name))
			}
		}
	})
}

func TestMeshName(t *testing.T) {
	for name, want := range map[string]mesh.ServiceName{
		"web": "web", "/web": "web", "Some_Service": "some-service", "a..b": "a-b", "-a-": "a", "_": "", "": "", "ünïcode": "n-code",
		strings.Repeat("a", maxLabel): mesh.ServiceName(strings.Repeat("a", maxLabel)),
	} {
		if got := MeshName(name); got != want {
			t.Errorf("%q: %q, to be %q", name, got, want)
		}
	}
}
