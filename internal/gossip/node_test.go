package gossip

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(processEnv) != "" {
		runProcess()
	}
	goleak.VerifyTestMain(m)
}

// fleet is hosts on loopback whose network can be cut.
type fleet struct {
	t     *testing.T
	nodes []*Node
	stop  []func()
}

func (f *fleet) start(name string, change func(*Config)) *Node {
	f.t.Helper()
	cfg := Config{
		Name: name, Bind: netip.MustParseAddrPort("127.0.0.1:0"), ProbeInterval: 200 * time.Millisecond,
		SyncInterval: time.Second, RetryInterval: 500 * time.Millisecond,
	}
	for _, other := range f.nodes {
		cfg.Seeds = append(cfg.Seeds, other.Address().String())
	}
	if change != nil {
		change(&cfg)
	}
	node, err := New(cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		if err := node.Run(ctx); err != nil {
			f.t.Error(err)
		}
	})
	stop := sync.OnceFunc(func() { cancel(); done.Wait() })
	f.t.Cleanup(stop)
	<-node.Ready()
	f.nodes, f.stop = append(f.nodes, node), append(f.stop, stop)
	return node
}

// knows waits until a node says so of another.
func knows(t *testing.T, n *Node, host string, status Status, entries map[string][]byte) {
	t.Helper()
	feed := n.Subscribe()
	defer feed.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		n.mu.Lock()
		h := n.host(host)
		n.mu.Unlock()
		if h.Status == status && (status == Gone || sameEntries(h.Entries, entries)) {
			return
		}
		if _, err := feed.Wait(ctx); err != nil {
			t.Fatalf("%s knows of %s: %s %v; to be %s %v", n.cfg.Name, host, h.Status, h.Entries, status, entries)
		}
	}
}

func entries(list ...string) map[string][]byte {
	m := map[string][]byte{}
	for _, one := range list {
		m[one] = []byte("of " + one)
	}
	return m
}

func publish(t *testing.T, n *Node, list map[string][]byte) {
	t.Helper()
	if err := n.Publish(list); err != nil {
		t.Fatal(err)
	}
}

func TestHostsKnowEachOther(t *testing.T) {
	f := &fleet{t: t}
	for i := range 5 {
		publish(t, f.start(fmt.Sprint("host-", i), nil), entries(fmt.Sprint("service-", i)))
	}
	for _, n := range f.nodes {
		for i := range f.nodes {
			knows(t, n, fmt.Sprint("host-", i), Alive, entries(fmt.Sprint("service-", i)))
		}
	}
	publish(t, f.nodes[2], entries("a", "b"))
	for _, n := range f.nodes {
		knows(t, n, "host-2", Alive, entries("a", "b"))
	}
	f.stop[2]()
	for i, n := range f.nodes {
		if i != 2 {
			knows(t, n, "host-2", Left, nil)
		}
	}
	f.start("host-2", nil)
	for _, n := range f.nodes[:2] {
		knows(t, n, "host-2", Alive, nil)
	}
}

// A host that dies and starts again without a seed, as the first of a fleet does, is
// told who is there by those who see it again.
func TestAHostThatIsBackKnowsTheOthers(t *testing.T) {
	f := &fleet{t: t}
	first := f.start("first", func(c *Config) { c.silent = true })
	for i := range 4 {
		publish(t, f.start(fmt.Sprint("host-", i), func(c *Config) { c.SyncInterval = time.Hour }), entries(fmt.Sprint("service-", i)))
	}
	for _, n := range f.nodes {
		knows(t, n, "first", Alive, nil)
	}
	address := first.Address()
	f.stop[0]()
	for _, n := range f.nodes[1:] {
		knows(t, n, "first", Failed, nil)
	}
	again := f.start("first", func(c *Config) { c.Seeds, c.Bind, c.SyncInterval = nil, address, time.Hour })
	for i := range 4 {
		knows(t, again, fmt.Sprint("host-", i), Alive, entries(fmt.Sprint("service-", i)))
	}
}

// A record that fits no packet is fetched.
func TestLargeRecordsArrive(t *testing.T) {
	f := &fleet{t: t}
	large := map[string][]byte{}
	for i := range 500 {
		large[fmt.Sprint("service-", i)] = make([]byte, 1000)
	}
	for i := range 4 {
		f.start(fmt.Sprint("host-", i), nil)
	}
	for _, n := range f.nodes {
		for i := range f.nodes {
			knows(t, n, fmt.Sprint("host-", i), Alive, nil)
		}
	}
	publish(t, f.nodes[0], large)
	for _, n := range f.nodes {
		knows(t, n, "host-0", Alive, large)
	}
}

func TestFleetsAreApart(t *testing.T) {
	f := &fleet{t: t}
	a := f.start("a", func(c *Config) { c.Fleet = "one" })
	b := f.start("b", func(c *Config) { c.Fleet = "two" })
	c := f.start("c", func(c *Config) { c.Fleet = "one" }) // has b for a seed as well
	publish(t, b, entries("of another fleet"))
	publish(t, a, entries("ours"))
	knows(t, a, "c", Alive, nil)
	knows(t, c, "a", Alive, entries("ours"))
	for n, want := range map[*Node]int{a: 2, b: 1, c: 2} {
		if hosts := n.Hosts(); len(hosts) != want {
			t.Errorf("%s knows %v", n.cfg.Name, hosts)
		}
	}
}
