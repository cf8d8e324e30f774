package agent

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/gossip"
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// A record of some hundred KB names ports for which each agent would keep gigabytes.
func TestTheServicesOfAHostHaveSoManyPorts(t *testing.T) {
	entries := map[string][]byte{}
	for i := range 60 {
		s := hosts.Service{ID: fmt.Sprint(i), Name: fmt.Sprint("service-", i), Address: netip.MustParseAddr("10.0.0.1")}
		for port := range 100 {
			s.Ports = append(s.Ports, hosts.Port{Port: mesh.Port(1 + port), ServicePort: mesh.Port(1000 + 100*i + port)})
		}
		body, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		entries[fmt.Sprintf("test/%02d", i)] = body
	}
	_, list, refused := readOf(gossip.Host{Name: "a", Entries: entries})
	if len(list) != mostPorts/100 || len(refused) != 1 || !strings.Contains(refused[0].Message, "6000 ports") {
		t.Errorf("%d services, %+v", len(list), refused)
	}
}

// A claim that is absurdly high leaves room for those that come after it, and who comes
// has none before those of a fleet that has counted for years.
func TestAnAbsurdClaimIsNotFollowed(t *testing.T) {
	own := newSource("test")
	a := start(t, Config{Gossip: quick("a", "127.0.0.1:0"), Sources: []Source{own}})
	liar := newPeer(t, "liar")
	liar.start(a.gossip.Address().String())
	says := func(id, name string, claim uint64) hosts.Service {
		return hosts.Service{ID: id, Name: name, Address: netip.MustParseAddr("127.0.0.1"), Ports: []hosts.Port{{Port: 1, ServicePort: 9000}}, Claim: claim}
	}
	const years = 1 << 30
	liar.says([]hosts.Service{says("1", "liar", hosts.Unclaimed-2), says("2", "veteran", years)})
	a.sees(t, "liar", "1", "2")
	own.lists <- []hosts.Service{one("1", "web", 1000)}
	a.until(t, "the own service to have a claim", func(s *hosts.State) error {
		if h, _ := s.Host("a"); len(h.Services) != 1 || h.Services[0].Claim != years+1 {
			return fmt.Errorf("%+v", h)
		}
		return nil
	})
}
