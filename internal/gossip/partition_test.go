package gossip

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// A fleet that was in two parts for so long that each has forgotten the other is one again
// when the network is, though in neither anybody is missed. The parts are cut by their keys.
func TestAPartitionLongerThanHostsAreRememberedHeals(t *testing.T) {
	one, other := Keys{make([]byte, 32)}, Keys{append(make([]byte, 31), 1)}
	for _, seeds := range []bool{true, false} {
		t.Run(fmt.Sprintf("seeds=%v", seeds), func(t *testing.T) {
			t.Parallel()
			f := &fleet{t: t}
			for i := range 4 {
				n := f.start(fmt.Sprint("h", i), func(c *Config) {
					c.Keys, c.Lifespan = one, time.Second
					if !seeds { // but where others were when it ran last
						for _, seed := range c.Seeds {
							c.Places = append(c.Places, netip.MustParseAddrPort(seed))
						}
						c.Seeds = nil
					}
				})
				publish(t, n, entries(fmt.Sprint("s", i)))
			}
			all := func(of, hosts []int, status Status) {
				t.Helper()
				for _, i := range of {
					for _, j := range hosts {
						knows(t, f.nodes[i], fmt.Sprint("h", j), status, entries(fmt.Sprint("s", j)))
					}
				}
			}
			all([]int{0, 1, 2, 3}, []int{0, 1, 2, 3}, Alive)
			for _, n := range f.nodes[2:] {
				if err := n.SetKeys(other); err != nil {
					t.Fatal(err)
				}
			}
			all([]int{0, 1}, []int{2, 3}, Gone)
			all([]int{2, 3}, []int{0, 1}, Gone)
			for _, n := range f.nodes[2:] {
				if err := n.SetKeys(one); err != nil {
					t.Fatal(err)
				}
			}
			all([]int{0, 1, 2, 3}, []int{0, 1, 2, 3}, Alive)
		})
	}
}

// Who knows all of its fleet dials nobody: neither seeds that are members, nor names of
// such, nor places.
func TestNobodyIsDialledWhoIsAMember(t *testing.T) {
	f := &fleet{t: t}
	first := f.start("first", nil)
	second := f.start("second", func(c *Config) {
		c.Seeds = append(c.Seeds, fmt.Sprint("localhost:", first.Address().Port()))
		c.Places = []netip.AddrPort{first.Address()}
	})
	knows(t, second, "first", Alive, nil)
	try := func() []string {
		second.mu.Lock()
		second.settle, second.back = 0, nil
		second.mu.Unlock()
		return second.missing(t.Context())
	}
	for range 20 {
		for _, one := range try() {
			// localhost may have ::1 as well, where nobody is
			if one == first.Address().String() {
				t.Fatalf("%s is a member, and dialled", one)
			}
		}
	}
	away := netip.MustParseAddrPort("127.0.0.9:9")
	second.mu.Lock()
	second.places.add(away, time.Now())
	second.mu.Unlock()
	if list := try(); !slices.Contains(list, away.String()) {
		t.Errorf("%v are dialled, and not where another host was", list)
	}
}

func TestPlacesAreBounded(t *testing.T) {
	p, start := places{}, time.Now()
	at := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), uint16(i+1))
	}
	for i := range 2 * mostPlaces {
		p.add(at(i), start.Add(time.Duration(i)*time.Second))
	}
	if _, oldest := p[at(mostPlaces-1)]; len(p) != mostPlaces || oldest {
		t.Errorf("%d are kept, an old one: %v", len(p), oldest)
	}
	p.forget(start.Add(placesFor + 300*time.Second))
	if len(p) != 2*mostPlaces-300 {
		t.Errorf("%d are left after days", len(p))
	}
}
