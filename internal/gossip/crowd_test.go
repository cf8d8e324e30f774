package gossip

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"go.uber.org/goleak"
)

// crowd is many real hosts in one process, each on a loopback address of its own, with
// memberlist, sockets, encryption and the intervals that are standard.
type crowd struct {
	tb    testing.TB
	nodes []*Node
	stop  []func()
	sent  traffic
}

const crowdPort = 27946 // none that the kernel gives to connections

// gather starts hosts that have a few of them as seeds, pause apart, and waits until all
// know all and what they run.
func gather(tb testing.TB, hosts, services int, pause time.Duration) *crowd {
	tb.Helper()
	c, others := &crowd{tb: tb}, goleak.IgnoreCurrent()
	tb.Cleanup(func() {
		var all sync.WaitGroup
		for _, stop := range c.stop {
			all.Go(stop)
		}
		all.Wait()
		for since := time.Now(); goleak.Find(others) != nil && time.Since(since) < 10*time.Second; { // probes that are under way end by themselves
		}
	})
	for i := range hosts {
		c.start(i, services)
		time.Sleep(pause)
	}
	since := time.Now()
	c.await(10*time.Minute, "all to know all", func(n *Node) bool { return c.misses(n, hosts) == 0 })
	tb.Logf("%d hosts know all %v after the last one's start", hosts, time.Since(since).Round(time.Millisecond))
	return c
}

func (c *crowd) start(i, services int) {
	cfg := Config{
		Name: hostName(i), Bind: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 77, byte(i / 250), byte(i%250 + 1)}), crowdPort),
		Keys: Keys{[]byte("0123456789abcdef0123456789abcdef")}, silent: true,
	}
	for seed := range min(i, 3) {
		cfg.Seeds = append(cfg.Seeds, c.nodes[seed].cfg.Bind.String())
	}
	n, err := New(cfg)
	if err != nil {
		c.tb.Fatal(err)
	}
	if err := n.Publish(manyEntries(services, "")); err != nil {
		c.tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.cfg.counting = func(own *transport) memberlist.Transport { return counted{own, &c.sent} }
	var done sync.WaitGroup
	done.Go(func() {
		if err := n.Run(ctx); err != nil {
			c.tb.Error(err)
			cancel()
		}
	})
	c.stop = append(c.stop, sync.OnceFunc(func() { cancel(); done.Wait() }))
	select {
	case <-n.Ready():
	case <-ctx.Done():
		c.tb.FailNow()
	}
	c.nodes = append(c.nodes, n)
}

// misses is how many of the hosts that are there a node does not know, or has nothing of.
func (c *crowd) misses(n *Node, there int) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, m := range n.hosts {
		if m.status == Alive && n.state.at(name) != (position{}) && len(n.state.records[name].entries) > 0 {
			there--
		}
	}
	return there
}

// await waits until all hosts are so, and gives when each was.
func (c *crowd) await(patience time.Duration, what string, so func(*Node) bool) []time.Duration {
	since := time.Now()
	took, left := make([]time.Duration, len(c.nodes)), len(c.nodes)
	for left > 0 {
		began := time.Now()
		for i, n := range c.nodes {
			if took[i] == 0 && so(n) {
				took[i] = time.Since(since)
				left--
			}
		}
		if time.Since(since) > patience {
			c.tb.Fatalf("%d of %d hosts wait %v for %s", left, len(c.nodes), patience, what)
		}
		if left > 0 {
			time.Sleep(max(time.Millisecond, 4*time.Since(began))) // the processors are the hosts'
		}
	}
	return took
}

// changes has a few hosts change a service one after the other, and gives when each host
// knew it, and when the last did.
func (c *crowd) changes(count, services int) (all, last []time.Duration) {
	for number := range count {
		origin := c.nodes[rand.IntN(len(c.nodes))]
		list := manyEntries(services, "")
		list[fmt.Sprintf("docker/%012x", 0)] = fmt.Appendf(make([]byte, serviceBytes), "%d", number)
		if err := origin.Publish(list); err != nil {
			c.tb.Fatal(err)
		}
		origin.mu.Lock()
		target := origin.state.own().position
		origin.mu.Unlock()
		took := c.await(2*time.Minute, "a change", func(n *Node) bool {
			n.mu.Lock()
			defer n.mu.Unlock()
			return n.state.at(origin.cfg.Name).compare(target) >= 0
		})
		all, last = append(all, took...), append(last, slices.Max(took))
		time.Sleep(300 * time.Millisecond)
	}
	return all, last
}

// idles measures hosts that say nothing new: what each sends a second.
func (c *crowd) idles(b *testing.B, length time.Duration) {
	packets, packetBytes, connections, connectionBytes := c.sent.packets.Load(), c.sent.packetBytes.Load(), c.sent.connections.Load(), c.sent.connectionBytes.Load()
	since, busy := time.Now(), processorTime()
	time.Sleep(length)
	each := float64(len(c.nodes)) * time.Since(since).Seconds()
	b.ReportMetric(float64(c.sent.packets.Load()-packets)/each, "packets/host/s-idle")
	b.ReportMetric(float64(c.sent.packetBytes.Load()-packetBytes)/each, "B-packets/host/s-idle")
	b.ReportMetric(float64(c.sent.connections.Load()-connections)/each, "connections/host/s-idle")
	b.ReportMetric(float64(c.sent.connectionBytes.Load()-connectionBytes)/each, "B-connections/host/s-idle")
	b.ReportMetric(100*(processorTime()-busy).Seconds()/each, "%core/host-idle")
}

// processorTime is what this process has had of the processors.
func processorTime() time.Duration {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used) // it never fails for oneself
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// fails stops a tenth of the hosts without a good-bye, and gives how long it takes until all
// others know, and how many others were taken for lost meanwhile.
func (c *crowd) fails() (last time.Duration, mistaken int) {
	tenth := len(c.nodes) / 10
	gone := map[string]bool{}
	var all sync.WaitGroup
	for i, n := range c.nodes[len(c.nodes)-tenth:] {
		gone[n.cfg.Name] = true
		all.Go(c.stop[len(c.nodes)-tenth+i])
	}
	all.Wait()
	c.nodes = c.nodes[:len(c.nodes)-tenth]
	lost := map[[2]string]bool{}
	took := c.await(5*time.Minute, "a tenth to be known as failed", func(n *Node) bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		know := 0
		for name, m := range n.hosts {
			switch {
			case m.status == Failed && gone[name]:
				know++
			case m.status != Alive:
				lost[[2]string{n.cfg.Name, name}] = true
			}
		}
		return know == tenth
	})
	return slices.Max(took), len(lost)
}

// BenchmarkRealGossip is what BenchmarkGossip simulates, with real hosts.
func BenchmarkRealGossip(b *testing.B) {
	for _, of := range []struct{ hosts, services int }{{100, 1}, {100, 50}, {300, 1}} {
		b.Run(fmt.Sprintf("hosts=%d/services=%d", of.hosts, of.services), func(b *testing.B) {
			for b.Loop() {
				measureCrowd(b, of.hosts, of.services)
			}
		})
	}
}

// settled is how long what the start made hosts say may take to be over.
const settled = 10 * time.Second

func measureCrowd(b *testing.B, hosts, services int) {
	b.Helper()
	since := time.Now()
	c := gather(b, hosts, services, time.Duration(hosts/10)*time.Millisecond)
	b.ReportMetric(time.Since(since).Seconds(), "s-start")
	time.Sleep(settled) // until what the start made them say is over
	var memory runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&memory)
	b.ReportMetric(float64(memory.HeapAlloc)/float64(hosts)/(1<<20), "MiB/host")
	c.idles(b, syncInterval(hosts)) // each compares once what it knows
	all, last := c.changes(20, services)
	reportSpread(b, all, last)
	b.ReportMetric(idle(hosts, services), "B-simulated/host/s-idle")
	took, mistaken := c.fails()
	b.ReportMetric(took.Seconds(), "s-tenth-failed")
	b.ReportMetric(float64(mistaken), "mistaken")
	b.ReportMetric(0, "ns/op")
}

// A small crowd does what is measured of a large one.
func TestACrowdOfRealHosts(t *testing.T) {
	c := gather(t, 20, 2, 0)
	if _, last := c.changes(1, 2); slices.Max(last) > 10*time.Second {
		t.Errorf("a change took %v", last)
	}
	if c.sent.packetBytes.Load() == 0 || c.sent.connectionBytes.Load() == 0 {
		t.Error("nothing was counted")
	}
}
