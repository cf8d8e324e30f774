package gossip

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"testing"
	"time"
)

// A second host with the name of one that runs ends by itself, with an error that says why,
// and nobody is told anything of the first that it did not say.
func TestASecondHostOfANameEndsAndChangesNothing(t *testing.T) {
	f := &fleet{t: t}
	for _, name := range []string{"h0", "h1", "h2", "h3"} {
		f.start(name, func(c *Config) {
			c.Keys = Keys{make([]byte, 32)}
			c.age = time.Minute // the second is not of the same moment
		})
	}
	publish(t, f.nodes[1], entries("real"))
	for _, n := range f.nodes {
		knows(t, n, "h1", Alive, entries("real"))
	}
	feeds := map[*Node]*Feed{}
	for _, n := range f.nodes {
		feeds[n] = n.Subscribe()
		feeds[n].Take()
	}
	for _, seed := range []int{2, 1} { // which is not the first itself, and is
		second, err := New(Config{
			Name: "h1", Bind: netip.MustParseAddrPort("127.0.0.1:0"), Seeds: []string{f.nodes[seed].Address().String()}, Keys: Keys{make([]byte, 32)},
			ProbeInterval: 200 * time.Millisecond, SyncInterval: time.Second, RetryInterval: 500 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		publish(t, second, entries("copied"))
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if err := second.Run(ctx); !errors.Is(err, errNamesake) {
			t.Errorf("the second ended with %v", err)
		}
		cancel()
	}
	time.Sleep(3 * time.Second) // for what would follow
	for n, feed := range feeds {
		knows(t, n, "h1", Alive, entries("real"))
		for _, h := range feed.Take() {
			if h.Name == "h1" && (h.Status != Alive || !sameEntries(h.Entries, entries("real"))) {
				t.Errorf("%s is told of %+v", n.cfg.Name, h)
			}
		}
	}
	publish(t, f.nodes[1], entries("real", "more"))
	for _, n := range f.nodes {
		knows(t, n, "h1", Alive, entries("real", "more"))
	}
}

// As long as both live, what one that is not the member says of itself does not count, also
// not if it outbids the other.
func TestARecordIsBelievedOfTheMemberAlone(t *testing.T) {
	s := newState("self", firstEpoch(1))
	s.runs["twin"] = 7
	whole := func(epoch uint64, to uint64, key string) Delta {
		return Delta{Host: "twin", Epoch: epoch, To: to, Changes: []Change{{Key: key, Version: to, Value: []byte("v")}}}
	}
	if came := s.merge(whole(firstEpoch(7), 3, "real")); came != applied {
		t.Fatal(came)
	}
	if came := s.merge(whole(later(5*run, firstEpoch(8)), 9, "copied")); came != known {
		t.Errorf("another run's record: %v", came)
	}
	if _, there := s.records["twin"].live()["real"]; !there {
		t.Error("the other one's record is believed")
	}
	s.runs["twin"] = 8 // memberlist has another run now, which has not counted as far
	if at := s.at("twin"); at != (position{}) {
		t.Errorf("of the new run %v is known", at)
	}
	if len(s.records["twin"].live()) != 1 {
		t.Error("what the host ran is gone before it said so")
	}
	if came := s.merge(whole(firstEpoch(8), 1, "anew")); came != applied {
		t.Errorf("the new run's first record: %v", came)
	}
}

// A run that was claimed up to the last epoch is given up for another, which all believe.
func TestAHostThatWasOutbidGoesOnAsAnotherRun(t *testing.T) {
	f := &fleet{t: t}
	a, b := f.start("a", nil), f.start("b", nil)
	publish(t, a, entries("one"))
	knows(t, b, "a", Alive, entries("one"))
	a.mu.Lock()
	before := a.run
	a.mu.Unlock()
	last := lastEpoch - run + uint64(before)
	b.receive(message{From: "x", Deltas: []Delta{{Host: "a", Epoch: last, To: math.MaxUint64, Changes: changes(0, 1, 1, 1)}}})
	knows(t, b, "a", Alive, entries("one"))
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.run == before {
		t.Error("it goes on as the run that it was")
	}
}

// One message in a host's name that says it has run for longer does not end it.
func TestOneMessageEndsNoHost(t *testing.T) {
	n := bare(t)
	said := encode(message{From: "self", Run: n.run + 1, Up: 1 << 40})
	delegate{n}.MergeRemoteState(said, true)
	if len(n.ousted) > 0 {
		t.Error("it ends")
	}
	n.confronts = true // it looks for that one itself
	delegate{n}.MergeRemoteState(said, true)
	if len(n.ousted) == 0 {
		t.Error("it goes on beside one that it met")
	}
}
