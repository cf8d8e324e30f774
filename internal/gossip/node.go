package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

// DefaultPort is where hosts gossip, by UDP and TCP, as memberlist's users do.
const DefaultPort = 7946

// Config says who this host is and whom it looks for. Name and Bind are required.
type Config struct {
	Name string // of this host, unique in the fleet
	// Bind is where to listen, and where the others reach it. Port 0 is a free one.
	Bind netip.AddrPort
	// Seeds are hosts to look for at first, and again while they are no members: names
	// or addresses, with :PORT or the one of Bind. None: others come to this one.
	Seeds []string
	// Places are where other hosts were when this one ran last ([Node.Places]).
	Places []netip.AddrPort
	// Fleet keeps fleets apart that can reach each other: hosts of another one are not
	// heard. At most 255 bytes.
	Fleet string
	// Keys encrypt and prove what is sent: the first is used, the others are understood
	// too. None: plain text, which everybody in reach can forge.
	Keys Keys
	Meta []byte // told to the others; at most 508 bytes
	// Lifespan is how long a host that failed is remembered; default 10 minutes. After it
	// what it ran is forgotten; where it was is tried for some days.
	Lifespan time.Duration
	// ProbeInterval is how often a host asks another one whether it is alive; default 1 s.
	// Failures are noticed in proportion to it.
	ProbeInterval time.Duration
	// SyncInterval is how often hosts compare what they know, in pairs; default 30 s.
	SyncInterval time.Duration
	// RetryInterval is how often hosts that failed, and seeds, are tried again; default 10 s.
	RetryInterval time.Duration
	Logger        *slog.Logger // default: discard

	// For tests:
	silent   bool                                  // end as a crash does
	counting func(*transport) memberlist.Transport // what is sent; nil: nobody counts
	age      time.Duration                         // for which it has run before
}

const (
	leaveTimeout   = 2 * time.Second
	connectTimeout = 5 * time.Second // also of what is read and written on a connection
	leftFor        = time.Minute     // how long a host that left is remembered
)

// Node is this host's part in the fleet. Make it with [New]; Run owns all goroutines.
type Node struct {
	cfg      Config
	list     *memberlist.Memberlist // set before ready is closed
	keyring  *memberlist.Keyring    // nil: plain text
	ready    chan struct{}
	kick     chan struct{} // capacity 1: there is something to tell
	letters  chan letter   // to be sent over connections
	meet     chan struct{} // capacity 1: somebody is back
	started  time.Time
	ousted   chan struct{}  // capacity 1: another host has this one's name
	compared chan struct{}  // closed once this host knows what another one did
	compare  func()         // closes it
	warn     rate.Sometimes // of what others say
	comings  *rate.Limiter  // of lines that say who comes and goes

	mu         sync.Mutex
	run        uint32               // guarded by mu: the number of this run of the host
	anew       bool                 // guarded by mu: the others are to be told of another number
	state      *state               // guarded by mu
	hosts      map[string]*member   // guarded by mu: members, and those that failed or left
	attention  attention            // guarded by mu
	strays     map[string]time.Time // guarded by mu: told of since then, no members yet
	rumors     rumors               // guarded by mu
	strayBytes int                  // guarded by mu: what the records of strays cost
	askers     map[string]*asker    // guarded by mu: by host
	lacks      map[string]*lack     // guarded by mu: by host
	back       []netip.AddrPort     // guarded by mu: of hosts that are alive again, or perhaps still are
	places     places               // guarded by mu
	told       bool                 // guarded by mu: a digest of another host has come
	refuted    time.Time            // guarded by mu: when this host last had to answer what was said of it
	namesake   netip.AddrPort       // guarded by mu: where another host of this one's name is said to be
	confronts  bool                 // guarded by mu: this host looks for that one now
	settle     int                  // guarded by mu: how many others are still to be compared with, as this host is new
	refusals   map[string]*refusal  // guarded by mu: by host
	feeds      []*Feed              // guarded by mu
}

// member is a host as memberlist sees it.
type member struct {
	node    *memberlist.Node
	address netip.AddrPort
	meta    []byte
	status  Status
	since   time.Time // of the status
}

// New checks the settings; it does no I/O.
func New(cfg Config) (*Node, error) {
	if err := validHost(cfg.Name); err != nil {
		return nil, err
	}
	if len(cfg.Fleet) > memberlist.LabelMaxSize {
		return nil, fmt.Errorf("the name of the fleet has %d bytes, and may have %d", len(cfg.Fleet), memberlist.LabelMaxSize)
	}
	if most := memberlist.MetaMaxSize - runBytes; len(cfg.Meta) > most {
		return nil, fmt.Errorf("the host tells %d bytes of itself, and may tell %d", len(cfg.Meta), most)
	}
	if !cfg.Bind.IsValid() || cfg.Bind.Addr().IsUnspecified() {
		return nil, fmt.Errorf("%v is not where other hosts reach this one", cfg.Bind)
	}
	for _, one := range []struct {
		interval *time.Duration
		standard time.Duration
	}{{&cfg.Lifespan, 10 * time.Minute}, {&cfg.ProbeInterval, time.Second}, {&cfg.SyncInterval, 30 * time.Second}, {&cfg.RetryInterval, 10 * time.Second}} {
		if *one.interval <= 0 {
			*one.interval = one.standard
		}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	run := drawRun()
	n := &Node{
		cfg: cfg, run: run, started: time.Now().Add(-cfg.age), ousted: make(chan struct{}, 1), compared: make(chan struct{}), warn: rate.Sometimes{Interval: sayAgain}, ready: make(chan struct{}), kick: make(chan struct{}, 1), letters: make(chan letter, 256), meet: make(chan struct{}, 1),
		state: newState(cfg.Name, firstEpoch(run)), hosts: map[string]*member{}, attention: attention{doubted: map[string]*doubt{}},
		strays: map[string]time.Time{}, rumors: rumors{}, lacks: map[string]*lack{}, askers: map[string]*asker{}, refusals: map[string]*refusal{}, comings: rate.NewLimiter(10, 200), places: places{}, settle: comparedFirst,
	}
	n.compare = sync.OnceFunc(func() { close(n.compared) })
	for _, at := range cfg.Places {
		n.places.add(at, time.Now())
	}
	if len(cfg.Keys) > 0 {
		var err error
		if n.keyring, err = memberlist.NewKeyring(cfg.Keys, cfg.Keys[0]); err != nil {
			return nil, fmt.Errorf("the keys of gossip: %w", err)
		}
	}
	return n, nil
}

// drawRun draws the number of a run; 0 is none.
func drawRun() uint32 { return 1 + rand.Uint32N(math.MaxUint32) }

// Ready is closed when the host can be reached, which is before it has found others.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Compared is closed when this host has been told all that another host knew of the fleet.
func (n *Node) Compared() <-chan struct{} { return n.compared }

// Address is where the others reach this host, once it is ready.
func (n *Node) Address() netip.AddrPort { return addressOf(n.list.LocalNode()) }

// Publish sets what this host runs: all of it. What is the same as before costs
// nothing. What no host may have is left out, and told by a [Refused].
func (n *Node) Publish(entries map[string][]byte) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	before := n.state.own().Version
	changed, err := n.state.publish(entries)
	if changed {
		n.spreadNews(n.cfg.Name, before)
	}
	return err
}

// Run joins the fleet and stays until ctx ends; then it says good-bye. It fails only
// when the host's own address cannot be had, or its name is another host's. It may be called once.
func (n *Node) Run(ctx context.Context) error {
	settings := n.settings()
	sockets, err := newTransport(ctx, n.cfg.Bind, n.cfg.Logger)
	if err != nil {
		return fmt.Errorf("gossip at %v: %w", n.cfg.Bind, err)
	}
	settings.BindPort, settings.Transport = int(sockets.port()), sockets
	if n.cfg.counting != nil {
		settings.Transport = n.cfg.counting(sockets)
	}
	list, err := memberlist.Create(settings)
	if err != nil {
		return errors.Join(fmt.Errorf("gossip at %v: %w", n.cfg.Bind, err), sockets.Shutdown())
	}
	n.list = list
	close(n.ready)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { n.spread(ctx); return nil })
	for range writers {
		group.Go(func() error { n.write(ctx); return nil })
	}
	group.Go(func() error { n.remind(ctx); return nil })
	group.Go(func() error { n.attend(ctx); return nil })
	group.Go(func() error { n.join(ctx); return nil })
	group.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case <-n.ousted:
			return n.endedByNamesake()
		}
	})
	err = group.Wait()
	if !n.cfg.silent && err == nil { // a good-bye would be taken for the other one's
		n.goodbye()
	}
	return errors.Join(err, list.Shutdown())
}

// goodbye tells the others that this host leaves, so that they do not look for it.
func (n *Node) goodbye() {
	n.mu.Lock()
	n.state.own().leave()
	n.spreadNews(n.cfg.Name, 0)
	n.mu.Unlock()
	for n.round() {
		time.Sleep(minRound)
	}
	if err := n.list.Leave(leaveTimeout); err != nil {
		n.cfg.Logger.Warn("the other hosts were not told that this one leaves; they will notice", "error", err)
	}
}

func (n *Node) settings() *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.Name, c.Label, c.Keyring = n.cfg.Name, n.cfg.Fleet, n.keyring
	c.ProbeInterval, c.ProbeTimeout, c.PushPullInterval = n.cfg.ProbeInterval, n.cfg.ProbeInterval/2, n.cfg.SyncInterval
	c.TCPTimeout = connectTimeout
	c.EnableCompression = false // it takes 80 KiB of memory for each packet, most of which are smaller without
	// A host that was replaced by another of its name, with another address, is let in
	// once the old one is known to be gone.
	c.DeadNodeReclaimTime = 10 * time.Second
	c.Delegate, c.Events, c.Conflict = delegate{n}, events{n}, conflicts{n}
	c.Alive = admission{n}
	c.LogOutput = &logLines{logger: n.cfg.Logger}
	return c
}

// host gives what is known of a host. n.mu is held.
func (n *Node) host(name string) Host {
	m, there := n.hosts[name]
	if !there {
		return Host{Name: name, Status: Gone}
	}
	h := Host{Name: name, Address: m.address, Meta: m.meta, Status: m.status, Told: n.state.at(name) != position{}}
	if r, known := n.state.records[name]; known {
		h.Entries = r.live()
	}
	return h
}

// Hosts gives all hosts that are known, sorted by name.
func (n *Node) Hosts() []Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := make([]Host, 0, len(n.hosts))
	for name := range n.hosts {
		list = append(list, n.host(name))
	}
	slices.SortFunc(list, func(a, b Host) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// changed tells the feeds of a host that is a member, or was. n.mu is held.
func (n *Node) changed(host string) {
	for _, f := range n.feeds {
		f.changed[host] = struct{}{}
	}
	n.wakeFeeds()
}

var errNoMember = errors.New("it is no member")

// memberOf gives a host that is alive, as memberlist knows it.
func (n *Node) memberOf(name string) (*memberlist.Node, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if m, there := n.hosts[name]; there && m.status == Alive {
		return m.node, nil
	}
	return nil, errNoMember
}
