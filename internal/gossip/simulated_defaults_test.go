package gossip

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

// defaults is the same fleet by memberlist's own means, as its users have it: each service
// is a message in its queue of broadcasts, is told again each minute, and what hosts know
// is exchanged whole. The queues are memberlist's; time and the network are a model.
type defaults struct {
	random   *rand.Rand
	services int // of each host
	hosts    []*teller
	sent     int // bytes
	now      time.Duration
	target   *told // whose spreading is watched
	knew     []time.Duration
	left     int
}

type teller struct {
	queue memberlist.TransmitLimitedQueue
	heard []uint16 // version by service of the fleet
}

// told is a message: one service of one host, at a version.
type told struct {
	service int
	version uint16
	body    []byte
}

// Invalidates implements memberlist.Broadcast; names do it.
func (t *told) Invalidates(memberlist.Broadcast) bool { return false }

// Name implements memberlist.NamedBroadcast: an older version of a service is not told any more.
func (t *told) Name() string { return fmt.Sprint(t.service) }

// Message implements memberlist.Broadcast.
func (t *told) Message() []byte { return t.body }

// Finished implements memberlist.Broadcast.
func (t *told) Finished() {}

// What memberlist's configuration for local networks has.
const (
	defaultTick    = 200 * time.Millisecond
	defaultPacket  = 1400
	defaultHeaders = 3 // of a message in a packet
	refreshEach    = time.Minute
)

func newDefaults(hosts, services int) *defaults {
	d := &defaults{random: rand.New(rand.NewPCG(7, uint64(hosts))), services: services}
	for range hosts {
		h := &teller{heard: make([]uint16, hosts*services)}
		h.queue = memberlist.TransmitLimitedQueue{NumNodes: func() int { return hosts }, RetransmitMult: 4}
		d.hosts = append(d.hosts, h)
	}
	return d
}

// says has a host tell a service of its own.
func (d *defaults) says(service int) *told {
	h := d.hosts[service/d.services]
	h.heard[service]++
	body := make([]byte, serviceBytes+len(hostName(0))+20) // with its host, ID and time
	binary.LittleEndian.PutUint32(body, uint32(service))
	binary.LittleEndian.PutUint16(body[4:], h.heard[service])
	message := d.message(body)
	h.queue.QueueBroadcast(message)
	return message
}

// tick is what all hosts send in one interval, in an order of chance.
func (d *defaults) tick() {
	d.now += defaultTick
	ticks := int(refreshEach / defaultTick)
	for service := int(d.now/defaultTick) % ticks; service < len(d.hosts)*d.services; service += ticks {
		d.says(service)
	}
	for _, i := range d.random.Perm(len(d.hosts)) {
		for range 3 {
			messages := d.hosts[i].queue.GetBroadcasts(defaultHeaders, defaultPacket)
			if len(messages) == 0 {
				break
			}
			d.sent += packetHeaders
			to := d.random.IntN(len(d.hosts))
			for _, body := range messages {
				d.sent += len(body) + defaultHeaders
				d.hear(to, body)
			}
		}
	}
}

func (d *defaults) hear(to int, body []byte) {
	m, h := d.message(body), d.hosts[to]
	if h.heard[m.service] >= m.version {
		return
	}
	h.heard[m.service] = m.version
	h.queue.QueueBroadcast(m)
	if d.target != nil && m.service == d.target.service && m.version >= d.target.version && d.knew[to] == 0 {
		d.knew[to] = d.now
		d.left--
	}
}

func (d *defaults) message(body []byte) *told {
	return &told{int(binary.LittleEndian.Uint32(body)), binary.LittleEndian.Uint16(body[4:]), body}
}

// change has one service change, and gives when each host knew it; patience at the latest.
func (d *defaults) change(service int, patience time.Duration) []time.Duration {
	start := d.now
	d.target, d.knew, d.left = d.says(service), make([]time.Duration, len(d.hosts)), len(d.hosts)-1
	d.knew[service/d.services] = d.now
	for d.left > 0 && d.now-start < patience {
		d.tick()
	}
	for i, at := range d.knew {
		if d.knew[i] = at - start; at == 0 {
			d.knew[i] = patience
		}
	}
	return d.knew
}

func BenchmarkDefaults(b *testing.B) {
	for _, size := range [][2]int{{30, 1}, {30, 10}, {30, 50}, {1000, 1}, {1000, 10}} {
		hosts, services := size[0], size[1]
		b.Run(fmt.Sprintf("hosts=%d/services=%d", hosts, services), func(b *testing.B) {
			const measured, changes, patience = 20 * time.Second, 4, 30 * time.Second
			var last, all []time.Duration
			var each float64
			for b.Loop() {
				d := newDefaults(hosts, services)
				for d.now < refreshEach/2 {
					d.tick()
				}
				before := d.sent
				for end := d.now + measured; d.now < end; {
					d.tick()
				}
				each = float64(d.sent-before) / float64(hosts) / measured.Seconds()
				last, all = nil, nil
				for i := range changes {
					knew := d.change(i*services, patience)
					last, all = append(last, slices.Max(knew)), append(all, knew...)
				}
			}
			reportSpread(b, all, last)
			whole := 2 * float64(hosts*services*serviceBytes) / syncInterval(hosts).Seconds()
			b.ReportMetric(each+whole, "B/host/s-idle")
			b.ReportMetric(0, "ns/op")
		})
	}
}
