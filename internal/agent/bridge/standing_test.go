package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// A connection that comes and goes changes nothing; what lasts does, and the first one counts
// at once.
func TestAServerThatFlapsIsNotLost(t *testing.T) {
	var l link
	now := time.Now()
	lasts := func(up bool, d time.Duration, want bool) {
		t.Helper()
		for end := now.Add(d); now.Before(end); now = now.Add(100 * time.Millisecond) {
			l.judge(up, now)
		}
		if l.follows != want {
			t.Errorf("%v for %s: followed %v", up, d, l.follows)
		}
	}
	lasts(false, time.Minute, false)
	lasts(true, 100*time.Millisecond, true)
	for range 10 {
		lasts(false, lossPatience-time.Second, true)
		lasts(true, time.Second, true)
	}
	lasts(false, lossPatience+time.Second, false)
	for range 10 {
		lasts(true, gainPatience-time.Second, false)
		lasts(false, time.Second, false)
	}
	lasts(true, gainPatience+time.Second, true)
}

// What is lost again and again is believed later and later, and as at first after a quiet time.
func TestAServerThatIsLostAgainAndAgainIsBelievedLater(t *testing.T) {
	var l link
	now := time.Now()
	after := func(up bool) time.Duration {
		since := now
		for l.judge(up, now) != up {
			now = now.Add(100 * time.Millisecond)
		}
		return now.Sub(since)
	}
	loses := func(want time.Duration) {
		t.Helper()
		if took := after(false); took != lossPatience {
			t.Errorf("the loss was told after %v", took)
		}
		if took := after(true); took != want {
			t.Errorf("its return was believed after %v, to be %v", took, want)
		}
	}
	after(true)
	loses(5 * time.Second) // within ten minutes of the start
	loses(10 * time.Second)
	loses(20 * time.Second)
	for range 5 {
		after(false)
		after(true)
	}
	loses(5 * time.Minute)
	now = now.Add(steadyAfter)
	loses(5 * time.Second)
}

// Copies are shared among the bridges that can have them registered; when none can, all that
// are there for them go on trying.
func TestOnlyBridgesThatCanHaveAShare(t *testing.T) {
	f, e := newFleet(nil, "h1") // of b1
	const orders mesh.ServiceName = "orders"
	able := hosts.Bridge{Follows: true}
	away, refused, all := hosts.Bridge{}, hosts.Bridge{Follows: true, Refused: []mesh.ServiceName{orders}}, hosts.Bridge{Follows: true, RefusedAll: true}
	other, chosen := hosts.Bridge{Follows: true, Exports: []mesh.ServiceName{"web"}}, hosts.Bridge{Follows: true, Exports: []mesh.ServiceName{orders}}
	for name, one := range map[string]struct {
		b1, b2, b3 *hosts.Bridge
		want       string
	}{
		"all":              {&able, &able, &able, "[b1 b2 b3]"},
		"away":             {&able, &away, &chosen, "[b1 b3]"},
		"this one away":    {&away, &able, nil, "[b2]"},
		"this one refused": {&refused, &able, &other, "[b2]"},
		"all refused":      {&refused, &all, &other, "[b1 b2]"},
		"a server away":    {&away, &away, &away, "[b1 b2 b3]"},
		"not for it":       {&other, &away, &refused, "[b2 b3]"},
		"nobody for it":    {&other, &other, nil, "[]"},
	} {
		e.told.Store(one.b1)
		f.state = &hosts.State{Hosts: []hosts.Host{{Name: "b1", Bridge: &able}, {Name: "b2", Bridge: one.b2}, {Name: "b3", Bridge: one.b3}, {Name: "dead", Bridge: &able, Status: hosts.Failed}}}
		if got := fmt.Sprint(e.bridges(orders)); got != one.want {
			t.Errorf("%s: %s, to be %s", name, got, one.want)
		}
	}
}

// What the server refuses is known by service, or for all when it is the token; it is over
// when a write is answered otherwise, or what is asked instead.
func TestWhatTheServerRefusesIsNoted(t *testing.T) {
	s := &refusing{}
	w := New(Config{Mesh: s}).writes
	write := func(service mesh.ServiceName, answer error) {
		s.answer = answer
		_, _ = w.Renew(t.Context(), mesh.InstanceKey{Service: service, ID: "1"}, "1")
	}
	later := time.Now().Add(time.Minute)
	is := func(when string, unreached bool, want ...mesh.ServiceName) {
		t.Helper()
		if denied, _ := w.how(time.Now()); len(denied) > 0 {
			t.Errorf("%s: told at once: %v", when, denied)
		}
		denied, lost := w.how(later)
		var names []mesh.ServiceName
		for name := range denied {
			names = append(names, name)
		}
		slices.Sort(names)
		if !slices.Equal(names, want) || (lost != nil) != unreached {
			t.Errorf("%s: refused are %q, to be %q; lost: %v", when, names, want, lost)
		}
	}
	denied, token := mesh.Denied("limited to another"), &mesh.Error{Kind: mesh.KindDenied, Reason: client.ReasonToken, Message: "not known"}
	write("a", nil)
	is("well", false)
	write("a", denied)
	write("b", nil)
	is("one service", false, "a")
	write("b", token)
	is("the token", false, anyService, "a")
	if !w.refuses("c") {
		t.Error("a token that is not known is taken to be good for c")
	}
	write("b", mesh.Unavailable(nil, "no answer"))
	is("no answer", true, anyService, "a")
	write("b", errors.New("garbage"))
	is("no sense", true, anyService, "a")
	write("b", denied)
	is("the token is known again", false, "a", "b")
	w.concern(map[mesh.ServiceName]struct{}{"a": {}})
	is("b does not run any more", false, "a")

	s.answer = mesh.NotFound("there is no such registration")
	if list := w.due(time.Now()); len(list) > 0 {
		t.Errorf("asked again at once: %v", list)
	}
	for _, key := range w.due(later) {
		w.ask(t.Context(), key)
	}
	is("asked again", false)

	write("a", mesh.Unavailable(nil, "no answer"))
	s.answer = mesh.Conflict("it is another's")
	for _, key := range w.due(later) { // its lease may be another bridge's by now
		w.ask(t.Context(), key)
	}
	is("it answers", false)
	s.answer = nil
	ended, end := context.WithCancel(t.Context())
	end()
	w.note(ended, mesh.InstanceKey{Service: "a"}, context.Canceled)
	is("a write that was called off", false)
}

// refusing is a mesh with one answer to all.
type refusing struct {
	server
	answer error
}

func (r *refusing) Renew(context.Context, mesh.InstanceKey, string) (time.Duration, error) {
	return 0, r.answer
}

// Each attempt to reach a server may fail in other words; the fleet is not told of each.
func TestAReasonIsToldOnce(t *testing.T) {
	b := New(Config{Mesh: &refusing{}})
	var s speaker
	now := time.Now()
	if said := s.says(b, true, nil, now); !said.Follows || said.Away != "" {
		t.Fatalf("at first: %+v", said)
	}
	said := map[string]int{}
	for i := range 100 {
		now = now.Add(time.Second)
		said[s.says(b, true, fmt.Errorf("port %d: refused", i), now).Away]++
	}
	if len(said) > 3 || said[""] > 3 {
		t.Errorf("said in 100 seconds: %v", said)
	}
	for range 6 {
		now = now.Add(time.Second)
		if last := s.says(b, true, nil, now); last.Away != "" {
			t.Errorf("it is back, and says %q", last.Away)
		}
	}
}
