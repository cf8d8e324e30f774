package hosts

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// bridges tells a fleet of bridges.
type bridges struct {
	*world
	f *Fleet
	t *testing.T
}

func newBridges(t *testing.T) bridges {
	f := NewFleet("self", nil)
	return bridges{newWorld(f), f, t}
}

// follows has a bridge follow the mesh, which runs copies of pay.
func (b bridges) follows(name string, revision int64, copies ...string) {
	b.says(name, Bridge{Follows: true, Revision: revision}, fromMesh("pay", copies...)...)
}

// away has it lost sight of the mesh at a revision.
func (b bridges) away(name string, revision int64, copies ...string) {
	b.says(name, Bridge{Revision: revision, Away: "no answer"}, fromMesh("pay", copies...)...)
}

func (b bridges) says(name string, said Bridge, services ...Service) {
	b.f.SetBridge(name, &said)
	b.told(b.f, name, Alive, services)
}

func (b bridges) is(name string, status Status) { b.told(b.f, name, status, nil) }

func fromMesh(name string, ids ...string) []Service {
	var list []Service
	for _, id := range ids {
		list = append(list, Service{ID: name + "/" + id, Name: name, Source: FromMesh, Address: netip.MustParseAddr("10.1.0.1"), Ports: []Port{{Port: 9, ServicePort: 8080, ByName: true}}})
	}
	return list
}

// calls says which copies of the mesh are called.
func (b bridges) calls(when, want string) {
	b.t.Helper()
	var got []string
	for key, one := range b.instances {
		if one.Meta.Source == FromMesh {
			id := string(key.ID)
			got = append(got, strings.TrimSuffix(id[strings.LastIndex(id[:len(id)-2], "-")+1:], ":9"))
		}
	}
	slices.Sort(got)
	if text := strings.Join(got, " "); text != want {
		b.t.Errorf("%s: %q are called, to be %q", when, text, want)
	}
}

// What two bridges say of one copy is one instance; a service that is called by name
// takes no port from anybody.
func TestWhatBridgesSay(t *testing.T) {
	b := newBridges(t)
	b.follows("h1", 1, "a")
	b.says("h2", Bridge{Follows: true, Revision: 1}, append(fromMesh("pay", "a"), web("a", 1, 8080))...)
	if len(b.instances) != 2 {
		t.Errorf("instances: %v", b.instances)
	}
	if pay, web := b.services["pay"].ListenerPort, b.services["web"].ListenerPort; pay != 0 || web != 8080 || len(b.f.Problems()) > 0 {
		t.Errorf("pay has port %d, web %d, problems %v", pay, web, b.f.Problems())
	}
	b.is("h1", Failed)
	if len(b.instances) != 2 || len(b.removed) > 0 {
		t.Errorf("one bridge is lost: %v are left, %v removed", b.instances, b.removed)
	}
}

// While two bridges differ on a copy all hosts heed the same one: the worst that is said.
func TestBridgesThatDifferAreHeededAlike(t *testing.T) {
	for range 50 {
		for _, both := range [][2]Health{{Healthy, Draining}, {Draining, Healthy}} {
			b := newBridges(t)
			for i, health := range both {
				list := fromMesh("pay", "a")
				list[0].Health = health
				b.says(fmt.Sprint("h", i), Bridge{Follows: true}, list...)
			}
			for _, one := range b.instances {
				if one.Health != mesh.Draining {
					t.Fatalf("%q are said: %+v", both, one)
				}
			}
		}
	}
}

// A bridge that was cut off from the server keeps no copy alive that another one has ended,
// also not when that one is cut off as well, dies or starts again. Nothing that was there
// last is taken away meanwhile.
func TestABridgeThatIsCutOffKeepsNothingAlive(t *testing.T) {
	b := newBridges(t)
	b.follows("h1", 10, "x", "y")
	b.follows("h2", 10, "x", "y")
	b.follows("h1", 11, "y")
	b.calls("a moment's difference", "x y")
	b.away("h2", 10, "x", "y")
	b.calls("one is cut off", "y")
	if len(b.removed) != 1 {
		t.Errorf("x is told as lost, and not as ended: %v", b.removed)
	}
	b.away("h1", 12, "y")
	b.calls("both are", "y")
	b.is("h1", Failed)
	b.calls("the one that knew best is dead", "y")
	b.says("h1", Bridge{})
	b.calls("it began anew", "y")
	b.follows("h2", 14, "z")
	b.calls("the other one is back", "z")
}

// The one bridge that a fleet has starts again, after a crash or a good-bye: until it has
// found the mesh again, or stays away, nothing changes.
func TestTheOnlyBridgeStartsAgain(t *testing.T) {
	for _, end := range []Status{Failed, Left} {
		b := newBridges(t)
		b.follows("h1", 10, "x")
		b.is("h1", end)
		b.calls("it has ended", "x")
		var before []Service // what gossip has of it until this run has said something
		if end == Failed {
			before = fromMesh("pay", "x")
		}
		b.told(b.f, "h1", Alive, before)
		b.calls("it is there", "x")
		b.says("h1", Bridge{})
		b.calls("it looks for the server", "x")
		b.says("h1", Bridge{Away: "no answer"})
		b.calls("it does not find it", "x")
		b.follows("h1", 10, "y")
		b.calls("it follows the mesh", "y")
		b.is("h1", end)
		b.is("h1", Forgotten)
		b.calls("it is gone for good", "")
		if ended := len(b.removed) > 0; ended != (end == Left) {
			t.Errorf("ended as %v, forgotten, and told as ended: %v", end, ended)
		}
		b.is("h1", Left)
		if len(b.f.heard) > 0 || len(b.f.bridges) > 0 {
			t.Errorf("still known: %v, %v", b.f.heard, b.f.bridges)
		}
	}
}

// An agent that is no bridge any more says nothing of the mesh.
func TestABridgeThatIsNoneAnyMore(t *testing.T) {
	b := newBridges(t)
	b.follows("h1", 10, "x")
	b.f.SetBridge("h1", nil)
	b.is("h1", Alive)
	b.calls("it is a host as any", "")
}

// A bridge that is not for a service has no word about it.
func TestBridgesOfDifferentServices(t *testing.T) {
	b := newBridges(t)
	b.says("h1", Bridge{Follows: true, Revision: 10, Imports: []mesh.ServiceName{"pay"}}, fromMesh("pay", "p")...)
	b.says("h2", Bridge{Follows: true, Revision: 10, Imports: []mesh.ServiceName{"web"}}, fromMesh("web", "w")...)
	b.calls("both follow", "p w")
	b.says("h2", Bridge{Revision: 11, Imports: []mesh.ServiceName{"web"}}, fromMesh("web", "w")...)
	b.says("h1", Bridge{Follows: true, Revision: 20, Imports: []mesh.ServiceName{"pay"}})
	b.calls("one is cut off", "w")
}

// A host that is new hears of bridges in any order, and makes the same of them.
func TestBridgesAreHeededAlikeInWhateverOrderTheyAreHeard(t *testing.T) {
	for _, one := range []struct {
		said map[string]Bridge
		want string
	}{
		{map[string]Bridge{"a": {Revision: 3}, "b": {Revision: 5}, "c": {Revision: 5}, "d": {}}, "b c"},
		{map[string]Bridge{"a": {Revision: 3, Follows: true}, "b": {Revision: 5}, "c": {Revision: 4, Follows: true}, "d": {}}, "a c"},
		{map[string]Bridge{"a": {}, "b": {}}, "a b"},
	} {
		for range 50 { // maps have a new order each time
			b := newBridges(t)
			for name, said := range one.said {
				b.f.SetBridge(name, &said)
				b.f.Set(name, Alive, fromMesh("pay", name))
			}
			b.take(b.f.Changes())
			b.calls(fmt.Sprint(one.said), one.want)
		}
	}
}

// What is wrong with bridges is told with what to do, and what it means.
func TestProblemsOfBridges(t *testing.T) {
	b := newBridges(t)
	b.says("h1", Bridge{Away: "no answer"})
	b.says("h2", Bridge{Follows: true, Refused: []mesh.ServiceName{"orders"}, Denied: "it may not"})
	b.says("h3", Bridge{}) // has only begun
	has := func(want ...string) {
		t.Helper()
		got := b.f.Problems()
		if len(got) != len(want) {
			t.Fatalf("problems: %+v", got)
		}
		for i, p := range got {
			if text := p.Host + " " + p.Service + ": " + p.Message; !strings.Contains(text, want[i]) {
				t.Errorf("%q is not in %q", want[i], text)
			}
		}
	}
	has("others do its part", "no other can")
	b.says("h3", Bridge{Follows: true, RefusedAll: true, Denied: "it may not"})
	has("others do its part", "no other can", "other bridges do")
	b.follows("h1", 1)
	has("h2 orders: the server does not let this bridge register it, and another bridge does", "h3 : the server does not let this bridge register services, and other bridges do")
	b.is("h2", Failed)
	b.is("h3", Left)
	has()
}

// What a bridge says fits in an entry, and what no bridge would say is not believed.
func TestWhatABridgeSaysOfItself(t *testing.T) {
	long := func(most int) (list []mesh.ServiceName) {
		for i := range most {
			list = append(list, mesh.ServiceName(fmt.Sprintf("%s-%05d", strings.Repeat("x", 50), i)))
		}
		return list
	}
	full := Bridge{Follows: true, Revision: 1 << 62, Imports: long(MostChosen), Exports: long(MostChosen), Refused: long(MostRefused), Away: strings.Repeat("é", 500), Denied: "a\nb"}
	body, err := full.Encode()
	if err != nil || len(body) > 16<<10 {
		t.Fatalf("%d bytes, %v", len(body), err)
	}
	read, err := DecodeBridge(body)
	if err != nil || !read.Follows || len(read.Imports) != MostChosen || len(read.Refused) != MostRefused || len(read.Away) > 120 || read.Denied != "a b" {
		t.Errorf("read is %+v, %v", read, err)
	}
	full.Refused = long(MostRefused + 1)
	body, _ = full.Encode()
	if read, err := DecodeBridge(body); err != nil || !read.RefusedAll || read.Registers("orders") || !(Bridge{}).For("orders") {
		t.Errorf("read is %+v, %v", read, err)
	}
	for name, bad := range map[string]Bridge{"many": {Imports: long(MostChosen + 1)}, "none": {Refused: []mesh.ServiceName{""}}, "garbled": {Exports: []mesh.ServiceName{"A b\n"}}} {
		body, _ := bad.Encode()
		if read, err := DecodeBridge(body); err == nil {
			t.Errorf("%s: read as %+v", name, read)
		}
	}
	for _, body := range [][]byte{nil, {0xff}, []byte("bridge"), slices.Repeat([]byte{0x81}, 100)} {
		if read, err := DecodeBridge(body); err == nil {
			t.Errorf("%x: read as %+v", body, read)
		}
	}
}
