package haproxy

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestPortsThatClashAreToldAndLeftOut(t *testing.T) {
	p, problems := planOf(world([]mesh.Service{
		{Name: "b", Protocol: mesh.HTTP, Port: 80, ListenerPort: 8080},
		{Name: "a", Protocol: mesh.HTTP, Port: 80, ListenerPort: 8080},
		{Name: "c", Protocol: mesh.TCP, Port: 80, ListenerPort: 15001},
		{Name: "e", Protocol: mesh.TCP, Port: 8081}, // that another has
		{Name: "d", Protocol: mesh.HTTP, Port: 80, Endpoints: mesh.Endpoints{Static: []mesh.StaticEndpoint{{Address: "10.0.0.1", Port: 1}}}},
	}), host, 15001)
	if want := []listener{{8080, "a", false}}; !slices.Equal(p.Listeners, want) {
		t.Errorf("listeners %v", p.Listeners)
	}
	for i, part := range []string{`service "a" has port 8080; until then the service is called by its name alone`, `the listener of calls by host name has port 15001; until then the service is not called from here`, `it is not served`} {
		if want := mesh.ServiceName("bcd"[i : i+1]); len(problems) != 3 || problems[i].Service != want || !strings.Contains(problems[i].Message, part) {
			t.Errorf("not told of %s: %s; %+v", want, part, problems)
		}
	}
	if len(p.Services) != 4 {
		t.Errorf("services that can be called by name: %v", p.Services)
	}
}

// When all copies of a service are lost of sight at once they are served on, by HAProxy
// as by Envoy.
func TestCopiesThatWereLostOfSightTogetherAreServed(t *testing.T) {
	c := catalog.New(catalog.Config{})
	a, b := copyAt("web", "a", "10.0.0.1", 1), copyAt("web", "b", "10.0.0.2", 2)
	c.Apply(1, true, changes([]mesh.Service{{Name: "web", Protocol: mesh.HTTP, Port: 80}}, a, b))
	c.Apply(2, true, []mesh.Change{{Instance: &a, Deleted: true}, {Instance: &b, Deleted: true}})
	p, _ := planOf(c.View(), host, 15001)
	if got := len(p.Services[0].Slots); got != 2 {
		t.Errorf("%d of 2 copies are served", got)
	}
}

func at(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 80)
}

// Whatever copies come and go: the slots have those that are wanted and no others, copies
// that stay keep theirs, and the commands lead from one to the other.
func TestSlotsHaveWhatIsWanted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := service{Name: "web", Protocol: mesh.HTTP}
		draw := func() plan {
			var slots []slot
			for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(1, 40), 0, 20, rapid.ID[int]).Draw(t, "copies") {
				slots = append(slots, slot{at(n), rapid.IntRange(1, 3).Draw(t, "weight"), rapid.SampledFrom([]state{maint, draining, ready}).Draw(t, "state")})
			}
			one := name
			one.Slots = slots
			return plan{Services: []service{one}}
		}
		_, running := fit(plan{}, draw())
		for range rapid.IntRange(1, 6).Draw(t, "changes") {
			wanted := draw()
			now, next := fit(running, wanted)
			for _, s := range next.Services[0].Slots {
				if s.State != gone && !slices.Contains(wanted.Services[0].Slots, s) {
					t.Fatalf("a slot has %v, which is not wanted", s)
				}
			}
			for _, w := range wanted.Services[0].Slots {
				if !slices.Contains(next.Services[0].Slots, w) {
					t.Fatalf("no slot has %v", w)
				}
			}
			if enough := len(wanted.Services[0].Slots) <= len(running.Services[0].Slots); sameShape(running, next) != enough {
				t.Fatalf("%d copies, %d slots: a reload is needed: %v", len(wanted.Services[0].Slots), len(running.Services[0].Slots), enough)
			}
			for i, s := range running.Services[0].Slots {
				kept := slices.ContainsFunc(wanted.Services[0].Slots, func(w slot) bool { return w.Address == s.Address })
				if s.Address.IsValid() && kept && now.Services[0].Slots[i].Address != s.Address {
					t.Fatalf("%v lost its slot", s.Address)
				}
			}
			played(t, running.Services[0].Slots, commands(running, now), now.Services[0].Slots)
			running = now
			if !sameShape(running, next) {
				running = next
			}
		}
	})
}

// played does commands as HAProxy would.
func played(t *rapid.T, slots []slot, list []command, want []slot) {
	slots = slices.Clone(slots)
	for _, one := range list {
		rest, ok := strings.CutPrefix(one.text, "set server http.web/s")
		if !ok {
			t.Fatalf("command %q", one.text)
		}
		var i, weight int
		var ip, word string
		port := uint16(0)
		if n, _ := fmt.Sscanf(rest, "%d addr %s port %d", &i, &ip, &port); n == 3 {
			slots[i-1].Address = netip.AddrPortFrom(netip.MustParseAddr(ip), port)
		} else if n, _ := fmt.Sscanf(rest, "%d weight %d", &i, &weight); n == 2 {
			slots[i-1].Weight = weight
		} else if n, _ := fmt.Sscanf(rest, "%d state %s", &i, &word); n == 2 {
			slots[i-1].State = map[string]state{"ready": ready, "drain": draining, "maint": maint}[word]
		} else {
			t.Fatalf("command %q", one.text)
		}
	}
	for i, s := range slots {
		if s.State.String() != want[i].State.String() || s.State != gone && want[i].State != gone && s != want[i] {
			t.Fatalf("slot %d is %v and is to be %v after %v", i, s, want[i], list)
		}
	}
}

// Nothing that others choose gets more into a configuration than a name, an address and
// numbers: no line is begun or ended, and nothing is quoted, by them.
func TestNothingIsInjected(t *testing.T) {
	sampled := 0
	rapid.Check(t, func(t2 *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z]{1,5}(\n| |"|'|#|\\|%\[|\$\{)[a-z{}\n "]{0,8}`), rapid.StringMatching(`[a-z][a-z0-9-]{0,60}[a-z0-9]`))
		name := rapid.Custom(func(t *rapid.T) mesh.ServiceName { return mesh.ServiceName(text.Draw(t, "name")) })
		number := rapid.OneOf(rapid.IntRange(-5, 70000), rapid.Int())
		var services []mesh.Service
		var instances []mesh.Instance
		for _, n := range rapid.SliceOfNDistinct(name, 0, 4, rapid.ID[mesh.ServiceName]).Draw(t2, "services") {
			services = append(services, mesh.Service{
				Name: n, Owner: text.Draw(t2, "owner"), Protocol: mesh.Protocol(rapid.OneOf(text, rapid.SampledFrom([]string{"http", "tcp", "grpc", "http2"})).Draw(t2, "protocol")),
				Port: mesh.Port(number.Draw(t2, "port")), ListenerPort: mesh.Port(number.Draw(t2, "listener")),
				Traffic: mesh.Traffic{
					HostHeader: text.Draw(t2, "host"), Timeout: mesh.Duration(number.Draw(t2, "timeout")), Retries: &mesh.Retries{Attempts: number.Draw(t2, "attempts")},
					LoadBalancing: mesh.LoadBalancing{Policy: mesh.Policy(text.Draw(t2, "policy")), HashHeader: text.Draw(t2, "header")},
				},
			})
			for i := range rapid.IntRange(0, 3).Draw(t2, "copies") {
				instances = append(instances, mesh.Instance{
					Service: n, ID: mesh.InstanceID(fmt.Sprint(text.Draw(t2, "id"), i)), Port: mesh.Port(number.Draw(t2, "port")), Weight: number.Draw(t2, "weight"),
					Address: rapid.OneOf(text, rapid.SampledFrom([]string{"10.0.0.1", "::1", "fe80::1%eth0\nx", "::ffff:1.2.3.4"})).Draw(t2, "address"), Health: mesh.Health(text.Draw(t2, "health")),
				})
			}
		}
		wanted, _ := planOf(world(services, instances...), host, 15001)
		_, next := fit(plan{}, wanted)
		got := render(standard, next)
		clean := render(standard, harmless(next))
		if bytes.Count(got, []byte("\n")) != bytes.Count(clean, []byte("\n")) || bytes.Count(got, []byte(`"`)) != bytes.Count(clean, []byte(`"`)) ||
			bytes.Count(got, []byte("%[")) != bytes.Count(clean, []byte("%[")) || bytes.Count(got, []byte(" ")) != bytes.Count(clean, []byte(" ")) {
			t2.Fatalf("something was injected:\n%s", got)
		}
		if sampled < 15 && len(next.Services) > 0 {
			sampled++
			taken(t, got)
		}
	})
	if sampled == 0 {
		t.Error("HAProxy was never asked")
	}
}

// harmless is a plan of the same form with names and numbers of our own.
func harmless(p plan) plan {
	names := map[mesh.ServiceName]mesh.ServiceName{}
	out := plan{Listeners: slices.Clone(p.Listeners), Services: slices.Clone(p.Services)}
	for i := range out.Services {
		one := &out.Services[i]
		names[one.Name] = mesh.ServiceName(fmt.Sprint("s", i))
		one.Name, one.Port = names[one.Name], min(one.Port, 1) // one without a port is told otherwise
	}
	for i := range out.Listeners {
		out.Listeners[i].Service = names[out.Listeners[i].Service]
	}
	return out
}
