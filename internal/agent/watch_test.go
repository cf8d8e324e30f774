package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// one makes a service that answers at a port.
func one(id, name string, port mesh.Port) hosts.Service {
	return hosts.Service{ID: id, Name: name, Address: netip.MustParseAddr("127.0.1.1"), Ports: []hosts.Port{{Port: port, ServicePort: 9000}}}
}

// sees waits until an agent sees a host run copies with these IDs, and gives them.
func (r *running) sees(t *testing.T, host string, ids ...string) []hosts.Service {
	t.Helper()
	var list []hosts.Service
	r.until(t, fmt.Sprintf("%s to be seen to run %v", host, ids), func(s *hosts.State) error {
		h, there := s.Host(host)
		list = h.Services
		same := slices.EqualFunc(list, ids, func(s hosts.Service, id string) bool { return s.ID == id })
		if !there || h.Status != hosts.Alive || !same {
			return fmt.Errorf("%+v", h)
		}
		return nil
	})
	return list
}

func TestAWatchSkipsAndNeverBlocks(t *testing.T) {
	own := newSource("test")
	a := start(t, Config{Gossip: quick("a", "127.0.0.1:0"), Sources: []Source{own}})
	slow, closed := a.Watch(), a.Watch()
	closed.Close()
	first, err := slow.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 { // nobody reads meanwhile
		own.lists <- []hosts.Service{one(fmt.Sprint(i), "web", 1000)}
		a.sees(t, "a", fmt.Sprint(i))
	}
	last, err := slow.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if h, _ := last.Host("a"); len(h.Services) != 1 || h.Services[0].ID != "49" || last.Version < first.Version+50 {
		t.Errorf("version %d came after %d, with %+v", last.Version, first.Version, h)
	}
	if h, _ := first.Host("a"); len(h.Services) != 0 {
		t.Errorf("a snapshot was written to: %+v", h)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if state, err := slow.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nothing has changed, and version %d came (%v)", state.Version, err)
	}
	slow.Close()
	if len(a.state.watches) != 0 {
		t.Errorf("%d watches are left", len(a.state.watches))
	}
}

func TestDraining(t *testing.T) {
	own, other := newSource("test"), newSource("other")
	config := Config{Gossip: quick("a", "127.0.0.1:0"), Sources: []Source{own, other}, Remember: t.TempDir() + "/state"}
	a := start(t, config)
	own.lists <- []hosts.Service{one("1", "web", 1000), one("2", "web", 1001)}
	other.lists <- []hosts.Service{one("1", "api", 1002)}
	a.sees(t, "a", "1", "1", "2") // by entry: other/1, test/1, test/2
	var missing *mesh.Error
	if _, err := a.Drain("3", true); !errors.As(err, &missing) || missing.Kind != mesh.KindNotFound {
		t.Errorf("an ID that nothing has: %v", err)
	}
	drained, err := a.Drain("1", true)
	if err != nil || len(drained) != 2 || drained[0].Health != hosts.Draining || drained[1].Health != hosts.Draining {
		t.Fatalf("%+v, %v", drained, err)
	}
	healths := func(want ...hosts.Health) {
		t.Helper()
		a.until(t, fmt.Sprintf("the copies to be %q", want), func(s *hosts.State) error {
			h, _ := s.Host("a")
			if !slices.EqualFunc(h.Services, want, func(s hosts.Service, health hosts.Health) bool { return s.Health == health }) {
				return fmt.Errorf("%+v", h.Services)
			}
			return nil
		})
	}
	healths(hosts.Draining, hosts.Draining, "")
	own.lists <- []hosts.Service{one("1", "web", 1000), one("2", "web", 1001), one("3", "web", 1003)} // found anew
	healths(hosts.Draining, hosts.Draining, "", "")
	own.lists <- []hosts.Service{one("2", "web", 1001)} // it has ended, and another has its ID
	healths(hosts.Draining, "")
	own.lists <- []hosts.Service{one("1", "web", 1000), one("2", "web", 1001)}
	healths(hosts.Draining, "", "")
	if list, err := a.Drain("1", false); err != nil || list[0].Health != "" {
		t.Errorf("%+v, %v", list, err)
	}
	healths("", "", "")

	if _, err := a.Drain("2", true); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"is drained", "was drained and the agent has ended"} { // also at once, as a script does that drains and restarts
		if m, err := recall(config.Remember); err != nil || !slices.Equal(m.Drained, []string{"test/2"}) {
			t.Errorf("what it remembers when the copy %s: %+v (%v)", what, m, err)
		}
		a.stop()
	}
	a = start(t, config)
	own.lists <- []hosts.Service{one("1", "web", 1000), one("2", "web", 1001)}
	healths("", hosts.Draining)
}

// remembered waits until the file says so.
func remembered(t *testing.T, path string, is func(memory) error) {
	t.Helper()
	heddletest.Eventually(t, "what is to be remembered to be written", func() error {
		m, err := recall(path)
		if err != nil {
			return err
		}
		return is(m)
	})
}

// Who had a service first keeps its ports on all hosts; claims are counted, and a host
// counts on from the highest that it has heard of.
func TestClaimsAreCounted(t *testing.T) {
	one1, two2 := newSource("test"), newSource("test")
	a := start(t, Config{Gossip: quick("a", "127.0.0.1:0"), Sources: []Source{one1}})
	b := start(t, Config{Gossip: quick("b", "127.0.0.1:0", a.gossip.Address().String()), Sources: []Source{two2}})
	one1.lists <- []hosts.Service{one("1", "web", 1000)}
	b.sees(t, "a", "1")
	two2.lists <- []hosts.Service{one("2", "api", 1000)} // wants the same port
	list := a.sees(t, "b", "2")
	first := a.sees(t, "a", "1")
	if list[0].Claim != first[0].Claim+1 {
		t.Errorf("the later claim is %d, after %d", list[0].Claim, first[0].Claim)
	}
	one1.lists <- []hosts.Service{one("1", "web", 1001), one("3", "web", 1002)} // more of the same keeps its claim
	for _, s := range b.sees(t, "a", "1", "3") {
		if s.Claim != first[0].Claim {
			t.Errorf("%s has claim %d, and had %d", s.ID, s.Claim, first[0].Claim)
		}
	}
	for _, r := range []*running{a, b} {
		r.until(t, "the second to be told of as the one without the port", func(s *hosts.State) error {
			if len(s.Problems) != 1 || s.Problems[0].Host != "b" || s.Problems[0].Service != "api" {
				return fmt.Errorf("%+v", s.Problems)
			}
			return nil
		})
	}
}

// A host that starts again, before it has heard of others, takes no port from who had it;
// and has its own again.
func TestClaimsOutliveAnAgent(t *testing.T) {
	for _, remembers := range []bool{true, false} {
		t.Run(fmt.Sprintf("remembers=%v", remembers), func(t *testing.T) {
			first, second := newSource("test"), newSource("test")
			a := start(t, Config{Gossip: quick("a", "127.0.0.1:0"), Sources: []Source{first}})
			first.lists <- []hosts.Service{one("1", "zeta", 1000)}
			config := Config{Gossip: quick("b", "127.0.0.1:0", a.gossip.Address().String()), Sources: []Source{second}}
			if remembers {
				config.Remember = t.TempDir() + "/state"
			}
			b := start(t, config)
			b.sees(t, "a", "1")
			second.lists <- []hosts.Service{one("2", "alpha", 1000)}
			claim := uint64(0)
			b.until(t, "the later one to have its claim", func(s *hosts.State) error {
				if h, _ := s.Host("b"); len(h.Services) != 1 || h.Services[0].Claim != 2 {
					return fmt.Errorf("%+v", h)
				}
				claim = 2
				return nil
			})
			if remembers {
				remembered(t, config.Remember, func(m memory) error {
					if m.Claims["alpha"] != claim {
						return fmt.Errorf("%+v", m)
					}
					return nil
				})
			}
			b.stop()
			first.lists <- []hosts.Service{one("1", "zeta", 1000), one("3", "later", 1002)}
			again := start(t, config)
			second.lists <- []hosts.Service{one("2", "alpha", 1000)}
			a.until(t, "the later one to have a claim again", func(s *hosts.State) error {
				if h, _ := s.Host("b"); len(h.Services) != 1 || h.Services[0].Claim >= hosts.Unclaimed {
					return fmt.Errorf("%+v", h)
				}
				return nil
			})
			if list := again.sees(t, "b", "2"); list[0].Claim < claim || remembers && list[0].Claim != claim {
				t.Errorf("after the restart the claim is %d, and was %d", list[0].Claim, claim)
			}
			again.until(t, "who had the port first to have it still", func(s *hosts.State) error {
				of := func(service string) bool {
					return slices.ContainsFunc(s.Problems, func(p hosts.Problem) bool { return p.Service == service })
				}
				if !of("alpha") || of("zeta") {
					return fmt.Errorf("%+v", s.Problems)
				}
				return nil
			})
		})
	}
}
