package gossip

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// What a packet has beside what it says: IP's and UDP's headers, memberlist's kind of
// message; and what a connection has: opening and closing it.
const (
	packetHeaders     = 28 + 1
	connectionHeaders = 7 * 40
	serviceBytes      = 130 // of an entry, as a service with one port has
)

// simulation is a fleet in virtual time: the real states and rumors of all hosts, with a
// model of the network between them. Membership does not change.
type simulation struct {
	random *rand.Rand
	hosts  []*simulated
	now    time.Duration
	queue  agenda
	sent   int     // bytes
	loss   float64 // of packets
}

type simulated struct {
	state  *state
	rumors rumors
	last   time.Duration            // round
	due    bool                     // a round is planned
	asked  map[string]time.Duration // by host
}

type event struct {
	at time.Duration
	do func()
}

// agenda is a heap of what is to come.
type agenda []event

func (q agenda) Len() int           { return len(q) }
func (q agenda) Less(i, j int) bool { return q[i].at < q[j].at }
func (q agenda) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *agenda) Push(x any)        { *q = append(*q, x.(event)) }
func (q *agenda) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}

func hostName(i int) string { return fmt.Sprintf("host-%05d.example", i) }

func manyEntries(services int, change string) map[string][]byte {
	m := map[string][]byte{}
	for i := range services {
		m[fmt.Sprintf("docker/%012x", i)] = append(make([]byte, serviceBytes-len(change)), change...)
	}
	return m
}

// simulate makes a fleet in which all know what the first few hosts run.
func simulate(hosts, known, services int, loss float64) *simulation {
	s := &simulation{random: rand.New(rand.NewPCG(7, uint64(hosts))), loss: loss}
	var whole []Delta
	for i := range known {
		origin := newState(hostName(i), firstEpoch(1))
		if _, err := origin.publish(manyEntries(services, "")); err != nil {
			panic(err)
		}
		d, _ := origin.news(hostName(i), 0)
		whole = append(whole, d)
	}
	for i := range hosts {
		h := &simulated{state: newState(hostName(i), firstEpoch(1)), rumors: rumors{}, last: -time.Second, asked: map[string]time.Duration{}}
		if i < known {
			_, _ = h.state.publish(manyEntries(services, ""))
		}
		for _, d := range whole {
			if d.Host != h.state.self {
				h.state.merge(d)
			}
		}
		s.hosts = append(s.hosts, h)
	}
	return s
}

func (s *simulation) after(wait time.Duration, do func()) {
	heap.Push(&s.queue, event{s.now + wait, do})
}

// latency of a network of one site, as hosts that do other things besides have it.
func (s *simulation) latency() time.Duration {
	return 200*time.Microsecond + time.Duration(s.random.IntN(2000))*time.Microsecond
}

func (s *simulation) tell(h *simulated, host string, from uint64) {
	h.rumors.tell(host, from, roundsFor(len(s.hosts)))
	s.plan(h, max(0, h.last+minRound-s.now))
}

func (s *simulation) plan(h *simulated, wait time.Duration) {
	if h.due {
		return
	}
	h.due = true
	s.after(wait, func() { h.due = false; s.round(h) })
}

func (s *simulation) round(h *simulated) {
	h.last = s.now
	packets := h.rumors.round(h.state, packetBytes)
	for range fanOut {
		to := s.hosts[s.random.IntN(len(s.hosts))]
		for _, deltas := range packets {
			s.sent += len(encode(message{From: h.state.self, Deltas: deltas})) + packetHeaders
			if s.random.Float64() >= s.loss {
				s.after(s.latency(), func() { s.receive(to, h, deltas) })
			}
		}
	}
	if len(h.rumors) > 0 {
		s.plan(h, roundInterval)
	}
}

func (s *simulation) receive(h, sender *simulated, deltas []Delta) {
	for _, d := range deltas {
		from := h.state.at(d.Host).Version
		switch h.state.merge(d) {
		case applied:
			s.tell(h, d.Host, from)
		case gap:
			if asked, before := h.asked[d.Host]; before && s.now-asked < askAgain {
				continue
			}
			h.asked[d.Host] = s.now
			at := h.state.at(d.Host)
			ask := []Known{{d.Host, at.Epoch, at.Version}}
			s.sent += len(encode(message{From: h.state.self, Ask: ask})) + connectionHeaders
			s.after(4*s.latency(), func() {
				answer := sender.state.answer(ask)
				s.sent += len(encode(message{From: sender.state.self, Deltas: answer})) + connectionHeaders
				s.after(4*s.latency(), func() { s.receive(h, sender, answer) })
			})
		}
	}
}

// change has a host change one of its services, and gives when each host knew it.
func (s *simulation) change(origin int, services, number int) []time.Duration {
	h := s.hosts[origin]
	list := manyEntries(services, "")
	list[fmt.Sprintf("docker/%012x", 0)] = fmt.Appendf(make([]byte, serviceBytes), "%d", number)
	before := h.state.own().Version
	_, _ = h.state.publish(list)
	target, start := h.state.own().position, s.now
	s.tell(h, h.state.self, before)
	knew := make([]time.Duration, len(s.hosts))
	left := len(s.hosts)
	for s.queue.Len() > 0 {
		next := heap.Pop(&s.queue).(event)
		s.now = next.at
		next.do()
		if left == 0 {
			continue
		}
		for i, one := range s.hosts {
			if knew[i] == 0 && one.state.at(h.state.self).compare(target) >= 0 {
				knew[i] = max(s.now-start, 1)
				left--
			}
		}
	}
	return knew
}

// idle is what a host sends a second when nothing changes: digests, as often as
// memberlist pushes and pulls in a fleet of that size.
func idle(hosts, services int) float64 {
	s := newState(hostName(0), firstEpoch(1))
	if _, err := s.publish(manyEntries(services, "")); err != nil {
		panic(err)
	}
	for i := 1; i < hosts; i++ {
		s.records[hostName(i)] = &record{position: position{firstEpoch(uint32(i)), 3}, entries: s.own().entries}
	}
	digest := len(encode(message{From: s.self, Digest: s.digest(func(string) bool { return true })}))
	return 2 * float64(digest) / syncInterval(hosts).Seconds() // asked once, and asked by others once
}

// syncInterval is memberlist's, of 30 s for 32 hosts.
func syncInterval(hosts int) time.Duration {
	if hosts <= 32 {
		return 30 * time.Second
	}
	return time.Duration(math.Ceil(math.Log2(float64(hosts))-5)+1) * 30 * time.Second
}

// When nothing changes, hosts say the same however many services they run.
func TestWhatIsSaidWhileNothingChangesDoesNotGrowWithServices(t *testing.T) {
	few := idle(1000, 1)
	for _, services := range []int{10, 50, 500} {
		if got := idle(1000, services); got != few {
			t.Errorf("%d services: %f bytes a second, and %f with one", services, got, few)
		}
	}
	s := simulate(50, 2, 50, 0)
	s.change(0, 50, 1)
	if s.sent == 0 || s.queue.Len() > 0 {
		t.Errorf("%d bytes were sent, and %d events are to come", s.sent, s.queue.Len())
	}
	for _, h := range s.hosts {
		if len(h.rumors) > 0 {
			t.Error("a host goes on telling what all know")
		}
	}
}

// A change reaches all hosts, also when packets are lost; with 5 % of them lost the rumor
// alone is enough in a fleet of this size, without what digests find later.
func TestAChangeReachesAllHosts(t *testing.T) {
	for _, loss := range []float64{0, 0.05} {
		s := simulate(300, 1, 10, loss)
		for i := range 20 {
			knew := s.change(0, 10, i+1)
			if missed := slices.Index(knew, 0); missed >= 0 {
				t.Fatalf("%s never heard of it, at a loss of %v", hostName(missed), loss)
			}
			if last := slices.Max(knew); last > time.Second {
				t.Errorf("the last host heard of it after %v, at a loss of %v", last, loss)
			}
		}
	}
}

func BenchmarkGossip(b *testing.B) {
	for _, hosts := range []int{30, 1000, 5000} {
		for _, services := range []int{1, 10, 50} {
			b.Run(fmt.Sprintf("hosts=%d/services=%d", hosts, services), func(b *testing.B) {
				const origins, changes = 3, 12
				var last, all []time.Duration
				var s *simulation
				for b.Loop() {
					s = simulate(hosts, origins, services, 0.01)
					last, all = nil, nil
					for i := range changes {
						knew := s.change(i%origins, services, i+1)
						last, all = append(last, slices.Max(knew)), append(all, knew...)
						if missed := slices.Index(knew, 0); missed >= 0 {
							b.Errorf("%s never heard of change %d", hostName(missed), i)
						}
					}
				}
				reportSpread(b, all, last)
				b.ReportMetric(idle(hosts, services), "B/host/s-idle")
				b.ReportMetric(float64(s.sent)/float64(hosts)/changes, "B/host/change")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

func reportSpread(b *testing.B, all, last []time.Duration) {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	slices.Sort(all)
	slices.Sort(last)
	b.ReportMetric(ms(all[len(all)/2]), "ms-median-host")
	b.ReportMetric(ms(all[len(all)*99/100]), "ms-p99-host")
	b.ReportMetric(ms(last[len(last)/2]), "ms-last-host")
}
