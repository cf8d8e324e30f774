package gossip

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/logtest"
)

// changes makes entries that begin at a number, at one version.
func changes(from, count, bytes int, version uint64) []Change {
	list := make([]Change, 0, count)
	for i := range count {
		list = append(list, Change{Key: fmt.Sprintf("%06d", from+i), Version: version, Value: make([]byte, bytes)})
	}
	return list
}

// A record that outgrows its bounds, at once or by changes, is refused as a whole: what was
// known of the host stays, and counts again when it says less.
func TestARecordDoesNotOutgrowItsBounds(t *testing.T) {
	epoch := firstEpoch(7)
	for name, beyond := range map[string]Delta{
		"entries at once":    {Host: "a", Epoch: epoch, To: 9, Changes: changes(0, MaxEntries+1, 0, 9)},
		"entries by changes": {Host: "a", Epoch: epoch, From: 2, To: 9, Changes: changes(10, MaxEntries, 0, 9)},
		"bytes at once":      {Host: "a", Epoch: epoch, To: 9, Changes: changes(0, MaxRecordBytes/MaxBytes, MaxBytes, 9)},
		"bytes by changes":   {Host: "a", Epoch: epoch, From: 2, To: 9, Changes: changes(10, MaxRecordBytes/MaxBytes, MaxBytes, 9)},
	} {
		s := newState("self", firstEpoch(1))
		s.merge(Delta{Host: "a", Epoch: epoch, To: 2, Changes: changes(0, 1, 1, 1)})
		before, total := s.records["a"].live(), s.total
		if came := s.merge(beyond); came != refused || s.why(beyond) == nil {
			t.Errorf("%s: %v", name, came)
		}
		if !sameEntries(s.records["a"].live(), before) || s.total != total || s.at("a").Version != 2 {
			t.Errorf("%s: %d entries are known at %v", name, len(s.records["a"].live()), s.at("a"))
		}
		if came := s.merge(Delta{Host: "a", Epoch: epoch, From: 2, To: 10, Changes: changes(5, 1, 1, 10)}); came != applied {
			t.Errorf("%s: what it says next: %v", name, came)
		}
		// What replaces or ends what there is counts once, or not at all.
		most := changes(0, MaxEntries, 0, 11)
		if came := s.merge(Delta{Host: "a", Epoch: epoch, To: 11, Changes: most}); came != applied {
			t.Errorf("%s: as much as there may be: %v", name, came)
		}
		swap := append(changes(MaxEntries, 1, 0, 12), Change{Key: "000000", Version: 12, Removed: true}, Change{Key: "000001", Version: 12})
		if came := s.merge(Delta{Host: "a", Epoch: epoch, From: 11, To: 12, Changes: swap}); came != applied {
			t.Errorf("%s: one for another: %v", name, came)
		}
		s.drop("a")
		if s.total != 0 {
			t.Errorf("%s: %d bytes are counted of nobody", name, s.total)
		}
	}
}

// However much others tell, what a host ends is taken, and so is what it runs up to its share.
func TestAllRecordsTogetherHaveABound(t *testing.T) {
	s := newState("self", firstEpoch(1))
	of := func(host string, version uint64, entries, bytes int) Delta {
		return Delta{Host: host, Epoch: firstEpoch(7), To: version, Changes: changes(0, entries, bytes, version)}
	}
	hosts := 0
	for hosts < 100 && s.merge(of(fmt.Sprint(hosts), 1, 400, MaxBytes-10)) == applied {
		hosts++
	}
	if hosts != MaxTotalBytes/(400*(MaxBytes-4+entryCost)) || s.total > MaxTotalBytes || !errors.Is(s.why(of("more", 1, 400, MaxBytes)), errFull) {
		t.Errorf("%d hosts with %d bytes", hosts, s.total)
	}
	for i := 0; s.merge(of(fmt.Sprint("small-", i), 1, 10, fairShare/10-140)) == applied && s.total < MaxTotalBytes; i++ {
	}
	gone := Delta{Host: "0", Epoch: firstEpoch(7), From: 1, To: 2, Changes: []Change{{Key: "000000", Version: 2, Removed: true}}}
	for _, one := range []struct {
		what string
		said Delta
		came outcome
	}{
		{"more of one that has more than its share", of("0", 2, 401, MaxBytes-10), refused},
		{"less an entry", gone, applied},
		{"another for it", Delta{Host: "0", Epoch: firstEpoch(7), From: 2, To: 3, Changes: changes(1, 1, 9, 3)}, applied},
		{"less, as a whole", of("0", 4, 399, MaxBytes-900), applied},
		{"within its share", of("honest", 1, 100, 100), applied},
		{"less of that", Delta{Host: "honest", Epoch: firstEpoch(7), From: 1, To: 2, Changes: []Change{{Key: "000003", Version: 2, Removed: true}}}, applied},
		{"a good-bye", Delta{Host: "1", Epoch: firstEpoch(7), To: 9, Leaving: true}, applied},
	} {
		s.total += max(0, MaxTotalBytes-s.total) // as full as it may be
		if came := s.merge(one.said); came != one.came {
			t.Errorf("%s: %v, %v", one.what, came, s.why(one.said))
		}
	}
	s.total = 0
	for _, r := range s.records {
		s.total += r.cost()
	}
	if came := s.merge(of("more", 1, 400, MaxBytes-10)); came != applied {
		t.Errorf("with room again: %v", came)
	}
}

// What is kept of hosts that are no members is counted as it comes and goes, not anew for
// each thing said of one.
func TestStraysAreCountedAsTheyComeAndGo(t *testing.T) {
	n := bare(t, "b")
	said := func(i int, to uint64, bytes int) Delta {
		return Delta{Host: fmt.Sprint("nobody-", i), Epoch: firstEpoch(7), To: to, Changes: changes(0, 1, bytes, to)}
	}
	list := make([]Delta, 0, maxStrays)
	for i := range maxStrays {
		list = append(list, said(i, 1, 1))
	}
	n.receive(message{From: "b", Deltas: append(list, said(0, 2, 900), said(1, 2, 0))})
	counted := func() {
		t.Helper()
		sum := 0
		for host := range n.strays {
			sum += n.state.records[host].cost()
		}
		if sum != n.strayBytes {
			t.Errorf("%d bytes of strays are %d", n.strayBytes, sum)
		}
	}
	counted()
	n.noted(&memberlist.Node{Name: "nobody-0"}, Alive)
	counted()
	n.strays["nobody-1"] = time.Now().Add(-2 * leftFor)
	n.forget()
	counted()
	quickest := func() time.Duration {
		best := time.Hour
		for i := range 2000 {
			began := time.Now()
			n.room(said(2, uint64(2+i), 0))
			best = min(best, time.Since(began))
		}
		return best
	}
	many := quickest()
	for i := 3; i < maxStrays; i++ {
		n.noStray(fmt.Sprint("nobody-", i))
	}
	if few := quickest(); many > 10*few+10*time.Microsecond {
		t.Errorf("a thing said takes %v, and %v when there are few", many, few)
	}
}

func TestThereIsABoundOfHosts(t *testing.T) {
	n, err := New(Config{Name: "self", Bind: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	for i := range MaxHosts {
		n.hosts[fmt.Sprint("host-", i)] = &member{}
	}
	allow := admission{n}.NotifyAlive
	if err := allow(&memberlist.Node{Name: "host-7"}); err != nil {
		t.Errorf("a member: %v", err)
	}
	if err := allow(&memberlist.Node{Name: "more"}); !errors.Is(err, errTooManyHosts) || len(n.Refusals()) != 1 || n.Refusals()[0].Host != overfull || !strings.Contains(n.Refusals()[0].Message, "more") {
		t.Errorf("one more: %v, %v", err, n.Refusals())
	}
	delete(n.hosts, "host-8")
	for name, bad := range map[string]*memberlist.Node{"long name": {Name: strings.Repeat("x", maxHostBytes+1)}, "no name": {}, "much of itself": {Name: "a", Meta: make([]byte, memberlist.MetaMaxSize+1)}} {
		if err := allow(bad); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if err := allow(&memberlist.Node{Name: "more"}); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// The warnings that memberlist gives of names that a stranger chooses are bounded all the same.
func TestWarningsDoNotFillTheLog(t *testing.T) {
	var log logtest.Buffer
	lines := &logLines{logger: slog.New(slog.NewTextHandler(&log, nil))}
	for i := range 3000 {
		fmt.Fprintf(lines, "[WARN] memberlist: ignoring alive message for 'host-%d': too many", i)
		fmt.Fprintf(lines, "[WARN] memberlist: %d ways to say it", i)
	}
	fmt.Fprint(lines, "[ERR] memberlist: Error accepting TCP connection: use of closed network connection")
	if told := strings.Count(log.String(), "\n"); told < 2 || told > mostLines+2 || strings.Contains(log.String(), "closed network") {
		t.Errorf("%d lines of 6,000:\n%s", told, log.String())
	}
	var other logtest.Buffer
	fmt.Fprint(&logLines{logger: slog.New(slog.NewTextHandler(&other, nil))}, `[ERR] memberlist: discarding stream with unacceptable label "two": from=127.0.0.1:1`)
	if !strings.Contains(other.String(), "compare --fleet and --key-file") {
		t.Error(other.String())
	}
}

// One that has the key says what it likes, of itself and of others: hosts go on to agree on
// what each says of itself, keep no more than they are to, and answer a question once.
func TestAHolderOfTheKeyWedgesNobody(t *testing.T) {
	f := &fleet{t: t}
	for i := range 3 {
		publish(t, f.start(fmt.Sprint("host-", i), func(c *Config) { c.Keys = Keys{make([]byte, 32)} }), entries(fmt.Sprint("service-", i)))
	}
	for _, n := range f.nodes {
		for i := range f.nodes {
			knows(t, n, fmt.Sprint("host-", i), Alive, entries(fmt.Sprint("service-", i)))
		}
	}
	evil, target := f.nodes[2], f.nodes[0]
	says := func(host string, m message) {
		t.Helper()
		m.From = "host-2"
		to, err := evil.memberOf(host)
		if err == nil {
			err = evil.list.SendReliable(to, encode(m))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	said := func(host, words string) {
		t.Helper()
		heddletest.Eventually(t, "the refusal to be told", func() error {
			for _, one := range target.Refusals() {
				if one.Host == host && strings.Contains(one.Message, words) {
					return nil
				}
			}
			return fmt.Errorf("%v", target.Refusals())
		})
	}
	target.mu.Lock()
	at := target.state.at("host-1")
	target.mu.Unlock()
	says("host-0", message{Deltas: []Delta{{Host: "host-1", Epoch: at.Epoch, To: at.Version + 5, Changes: changes(0, MaxEntries+1, 0, 1)}}})
	said("host-1", "a host may have 4096")
	says("host-0", message{Deltas: []Delta{{Host: "host-1", Epoch: at.Epoch, To: at.Version + 5, Changes: changes(0, 1, MaxBytes+1, 1)}}})
	said("host-1", "may have 16384")
	knows(t, target, "host-1", Alive, entries("service-1"))
	publish(t, f.nodes[1], entries("service-1", "more"))
	knows(t, target, "host-1", Alive, entries("service-1", "more"))
	if list := target.Refusals(); len(list) > 0 {
		t.Errorf("still refused: %v", list)
	}

	var strays []Delta
	for i := range 3 * maxStrays {
		strays = append(strays, Delta{Host: fmt.Sprint("nobody-", i), Epoch: firstEpoch(7), To: 1, Changes: changes(0, 1, 1, 1)}, Delta{Host: fmt.Sprint("unheard-", i), Epoch: firstEpoch(7), From: 1, To: 1})
	}
	says("host-0", message{Deltas: strays})
	said(overfull, "1024 records")
	target.mu.Lock()
	if len(target.strays) != maxStrays || len(target.lacks) > maxStrays+3 || len(target.state.records) > maxStrays+3 {
		t.Errorf("%d strays, %d lacks, %d records are kept", len(target.strays), len(target.lacks), len(target.state.records))
	}
	target.mu.Unlock()

	// The same of another host over and over, each time at the end of what can be counted.
	for _, claimed := range []position{{at.Epoch, math.MaxUint64}, {lastEpoch - run + at.Epoch%run, math.MaxUint64}, {lastEpoch, math.MaxUint64}, {lastEpoch - 1, 1}} {
		f.nodes[1].mu.Lock()
		f.nodes[1].refuted = time.Time{} // not to wait for 5 s
		f.nodes[1].mu.Unlock()
		for _, host := range []string{"host-0", "host-1"} {
			says(host, message{Deltas: []Delta{{Host: "host-1", Epoch: claimed.Epoch, To: claimed.Version, Changes: changes(0, 1, 1, 1)}}, Digest: []Known{{"host-1", claimed.Epoch, claimed.Version}}})
		}
	}
	publish(t, f.nodes[1], entries("its own"))
	for _, n := range f.nodes {
		knows(t, n, "host-1", Alive, entries("its own"))
	}
	if list := target.state.have(asked("host-1", 100_000)); len(list) != 1 {
		t.Errorf("%d answers to one question", len(list))
	}
}

func asked(host string, times int) []Known {
	list := make([]Known, times)
	for i := range list {
		list[i].Host = host
	}
	return list
}
