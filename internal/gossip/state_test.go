package gossip

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"testing"

	"pgregory.net/rapid"
)

// behind gives what to ask of somebody who knows that much: one line for each other
// host of which it knows more, with how far the record is known here.
func (s *state) behind(theirs []Known) []Known {
	var ask []Known
	for _, one := range theirs {
		here := s.at(one.Host)
		if one.Host != s.self && here.compare(position{one.Epoch, one.Version}) < 0 {
			ask = append(ask, Known{Host: one.Host, Epoch: here.Epoch, Version: here.Version})
		}
	}
	return ask
}

// talk has two states compare what they know, as a push-pull does, and fetch what
// differs.
func talk(a, b *state) {
	all := func(string) bool { return true }
	for _, pair := range [][2]*state{{a, b}, {b, a}} {
		listener, speaker := pair[0], pair[1]
		digest := speaker.digest(all)
		for _, one := range digest {
			if one.Host == listener.self {
				listener.refute(position{one.Epoch, one.Version})
			}
		}
		for _, d := range speaker.answer(listener.behind(digest)) {
			listener.merge(d)
		}
	}
}

func sameEntries(a, b map[string][]byte) bool { return maps.EqualFunc(a, b, bytes.Equal) }

// However changes, restarts and lost, doubled, late and reordered deltas mix: once
// all have talked to each other, everybody knows of everybody what that host says of
// itself.
func TestStatesConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const hosts = 4
		states := make([]*state, hosts)
		said := make([]map[string][]byte, hosts)
		name := func(i int) string { return fmt.Sprint("host-", i) }
		for i := range states {
			states[i], said[i] = newState(name(i), firstEpoch(uint32(i))), map[string][]byte{}
		}
		var late []Delta
		pick := func(label string) int { return rapid.IntRange(0, hosts-1).Draw(t, label) }
		steps := rapid.IntRange(1, 60).Draw(t, "steps")
		for step := range steps {
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0: // a change
				i, key := pick("host"), fmt.Sprint("key-", rapid.IntRange(0, 5).Draw(t, "key"))
				said[i] = maps.Clone(said[i])
				if rapid.Bool().Draw(t, "removed") {
					delete(said[i], key)
				} else {
					said[i][key] = fmt.Append(nil, step)
				}
				before := states[i].own().Version
				if changed, err := states[i].publish(said[i]); err != nil {
					t.Fatal(err)
				} else if changed {
					d, _ := states[i].news(name(i), before)
					late = append(late, d)
				}
			case 1: // some delta arrives somewhere, perhaps again, perhaps late
				if len(late) > 0 {
					states[pick("receiver")].merge(late[rapid.IntRange(0, len(late)-1).Draw(t, "delta")])
				}
			case 2: // somebody relays what it knows
				from, of := pick("relay"), name(pick("of"))
				if d, there := states[from].news(of, uint64(rapid.IntRange(0, 8).Draw(t, "from"))); there {
					states[pick("receiver")].merge(d)
				}
			case 3:
				talk(states[pick("a")], states[pick("b")])
			case 4: // a restart: the host forgets all, and may run something else
				i := pick("host")
				drawn := rapid.Uint32Range(1, 1<<20).Draw(t, "drawn")<<8 + uint32(step) // as good as never the same twice
				states[i] = newState(name(i), firstEpoch(drawn))
				said[i] = map[string][]byte{"new": fmt.Append(nil, step)}
				if _, err := states[i].publish(said[i]); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 3 {
			for i := range states {
				for j := range states {
					if i != j {
						talk(states[i], states[j])
					}
				}
			}
		}
		for i := range states {
			for j := range states {
				r := states[i].records[name(j)]
				if r == nil {
					t.Fatalf("%s knows nothing of %s", name(i), name(j))
				}
				if !sameEntries(r.live(), said[j]) {
					t.Fatalf("%s says of %s %v, which says %v", name(i), name(j), r.live(), said[j])
				}
			}
		}
	})
}

// A record that many entries were removed from stays small, and who has missed the
// removals is told the whole.
func TestTombstonesAreBounded(t *testing.T) {
	s, late := newState("a", firstEpoch(1)), newState("b", firstEpoch(2))
	if _, err := s.publish(map[string][]byte{"first": {1}, "stays": {2}}); err != nil {
		t.Fatal(err)
	}
	d, _ := s.news("a", 0)
	if came := late.merge(d); came != applied {
		t.Fatal(came)
	}
	for i := range 3 * keptTombstones {
		if _, err := s.publish(map[string][]byte{"stays": {2}, fmt.Sprint("key-", i): {3}}); err != nil {
			t.Fatal(err)
		}
	}
	if entries := len(s.own().entries); entries > keptTombstones+2 {
		t.Errorf("the record has %d entries, removed ones included: at most %d are to be kept", entries, keptTombstones+2)
	}
	for _, d := range s.answer(late.behind(s.digest(func(string) bool { return true }))) {
		if d.From != 0 {
			t.Errorf("who is at version 2 is told what came after %d: that lacks removals", d.From)
		}
		late.merge(d)
	}
	if got, want := late.records["a"].live(), s.own().live(); !sameEntries(got, want) {
		t.Errorf("%v, and it is %v", got, want)
	}
}

func TestPublishRefusesWhatIsTooMuch(t *testing.T) {
	many := map[string][]byte{}
	for i := range MaxEntries + 1 {
		many[fmt.Sprint(i)] = nil
	}
	for name, entries := range map[string]map[string][]byte{
		"entries": many, "no key": {"": nil}, "long key": {string(make([]byte, MaxKeyBytes+1)): nil}, "large": {"a": make([]byte, MaxBytes+1)},
	} {
		s := newState("a", firstEpoch(1))
		if changed, err := s.publish(entries); err == nil || changed != (name == "entries") || len(s.own().live()) > MaxEntries {
			t.Errorf("%s: changed %v, error %v", name, changed, err)
		}
	}
}

// A host that is told what an earlier run of it said answers with a later epoch, and
// what it says now counts everywhere.
func TestARestartedHostIsBelieved(t *testing.T) {
	before, peer := newState("a", firstEpoch(9)), newState("b", firstEpoch(1))
	for i := range 5 {
		if _, err := before.publish(map[string][]byte{"old": {byte(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	talk(before, peer)
	after := newState("a", firstEpoch(3)) // a smaller number was drawn
	if _, err := after.publish(map[string][]byte{"new": {1}}); err != nil {
		t.Fatal(err)
	}
	talk(after, peer)
	talk(after, peer)
	if got := peer.records["a"].live(); !sameEntries(got, after.own().live()) {
		t.Errorf("the peer knows %v", got)
	}
}

// A host that has too much to tell goes on telling what others know, and tells the rest as
// far as it fits.
func TestOfTooManyEntriesThoseStayThatAreKnown(t *testing.T) {
	s := newState("self", firstEpoch(1))
	old := map[string][]byte{"zz-old": nil}
	if _, err := s.publish(old); err != nil {
		t.Fatal(err)
	}
	for i := range MaxEntries {
		old[fmt.Sprintf("new-%05d", i)] = nil
	}
	var refused Refused
	_, err := s.publish(old)
	live := s.own().live()
	if _, kept := live["zz-old"]; !errors.As(err, &refused) || len(refused) != 1 || len(live) != MaxEntries || !kept {
		t.Errorf("%d are told, the old one: %v; %v", len(live), kept, err)
	}
	large := map[string][]byte{}
	for i := range MaxRecordBytes/MaxBytes + 1 {
		large[fmt.Sprint(i)] = make([]byte, MaxBytes)
	}
	if _, err := s.publish(large); !errors.As(err, &refused) || len(s.own().live()) != MaxRecordBytes/MaxBytes-1 {
		t.Errorf("%d large ones are told: %v", len(s.own().live()), err)
	}
}
