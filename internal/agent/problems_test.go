package agent

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// hasProblem says whether a snapshot's only problem is of a host and says what it is to.
func hasProblem(s *hosts.State, host, service, says string) error {
	if len(s.Problems) != 1 || s.Problems[0].Host != host || s.Problems[0].Service != service || !strings.Contains(s.Problems[0].Message, says) {
		return fmt.Errorf("problems: %+v", s.Problems)
	}
	return nil
}

// What another host says that Envoy would refuse, with all that a service has on other
// hosts, is a problem of that host and is no endpoint.
func TestAHostThatSaysNonsenseHarmsNobody(t *testing.T) {
	own := newSource("test")
	a := start(t, Config{Gossip: quick("a", "127.0.0.1:0"), Sources: []Source{own}})
	own.lists <- []hosts.Service{one("1", "web", 1000)}
	evil := newPeer(t, "evil")
	evil.start(a.gossip.Address().String())
	bad := one("2", "web", 700000)
	evil.says([]hosts.Service{bad, one("3", "web", 1001)})
	a.until(t, "the nonsense to be a problem", func(s *hosts.State) error { return hasProblem(s, "evil", "web", "700000 is not a port") })
	a.sees(t, "evil", "3")
	for _, i := range a.Catalog().View().Instances("web") {
		if i.Port > 65535 {
			t.Errorf("%+v", i)
		}
	}
	evil.says([]hosts.Service{one("3", "web", 1001)})
	a.until(t, "the problem to be over", func(s *hosts.State) error {
		if len(s.Problems) > 0 {
			return fmt.Errorf("problems: %+v", s.Problems)
		}
		return nil
	})
}

// A service that no host could take is this host's problem, and holds up nothing of what
// its other services do.
func TestOneBadServiceHoldsUpNoOthers(t *testing.T) {
	file, docker := newSource("file"), newSource("docker")
	a := start(t, Config{Gossip: quick("a", "127.0.0.1:0"), Sources: []Source{file, docker}})
	docker.lists <- []hosts.Service{one("old", "old", 1000)}
	a.sees(t, "a", "old")
	long := one(strings.Repeat("x", 300), "bad", 1001)
	file.lists <- []hosts.Service{long}
	a.until(t, "the service to be a problem", func(s *hosts.State) error { return hasProblem(s, "a", "bad", "id: has 300 bytes") })
	docker.lists <- []hosts.Service{{ID: "new", Name: "new", Address: long.Address}} // old has ended
	a.sees(t, "a", "new")
	if _, err := a.Drain(long.ID, true); err == nil {
		t.Error("what nobody is told of is said to be drained")
	}
	large := one("large", "large", 1001)
	large.Labels = map[string]string{}
	for i := range 60 {
		large.Labels[fmt.Sprintf("%0250d", i)] = strings.Repeat("x", 255)
	}
	file.lists <- []hosts.Service{large, one("fine", "fine", 1002)}
	a.sees(t, "a", "new", "fine")
	a.until(t, "the large one to be a problem", func(s *hosts.State) error { return hasProblem(s, "a", "large", "at most 16384 are allowed") })
}

// What is exposed and nobody runs is a problem, until somebody does.
func TestWhatIsExposedAndNobodyRunsIsAProblem(t *testing.T) {
	own := newSource("test")
	a := start(t, Config{Gossip: quick("a", "127.0.0.1:0"), Sources: []Source{own}, Exposed: map[mesh.ServiceName]mesh.Port{"web": 0, "wbe": 80}})
	own.lists <- []hosts.Service{one("1", "web", 1000)}
	a.sees(t, "a", "1")
	a.until(t, "the other to be a problem", func(s *hosts.State) error { return hasProblem(s, "a", "wbe", "no host runs") })
	own.lists <- []hosts.Service{one("1", "web", 1000), one("2", "wbe", 1001)}
	a.until(t, "no problem", func(s *hosts.State) error {
		if len(s.Problems) > 0 {
			return fmt.Errorf("%+v", s.Problems)
		}
		return nil
	})
}

// A proxy's problems bear the names that owners gave, and cost nothing while nothing changes.
func TestProblemsOfAProxyAreNamed(t *testing.T) {
	a, err := New(Config{Gossip: quick("a", "127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	runs := func(name string) {
		a.state.set(func(next *hosts.State) bool {
			next.Hosts = []hosts.Host{{Name: "a", Services: []hosts.Service{one("1", name, 1000)}}}
			return true
		})
	}
	list := []proxy.Problem{{Service: "my-web", Port: 1000, Message: "no port"}, {Message: "dead"}}
	said := func(service string, version uint64) {
		t.Helper()
		a.proxyWrong(ofEnvoys, slices.Clone(list))
		want := []hosts.Problem{{Host: "a", Service: service, Port: 1000, Message: "no port"}, {Host: "a", Message: "dead", Proxy: true}}
		if now := a.State(); !slices.Equal(now.Problems, want) || now.Version != version {
			t.Errorf("version %d, %+v", now.Version, now.Problems)
		}
	}
	said("my-web", 1)
	said("my-web", 1)
	runs("My_Web")
	said("My_Web", 3)
	said("My_Web", 3)
	if again := testing.AllocsPerRun(100, func() { a.proxyWrong(ofEnvoys, list) }); again > 0 {
		t.Errorf("the same takes %v allocations", again)
	}
	a.proxyWrong(ofEnvoys, nil)
	if left := a.State().Problems; len(left) > 0 {
		t.Errorf("%+v is left", left)
	}
}
