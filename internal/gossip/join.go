package gossip

import (
	"cmp"
	"context"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// join looks for the fleet until ctx ends: for the seeds at first, and from then on
// for hosts that failed or were forgotten, which memberlist never does by itself: after
// a partition both sides would stay apart.
func (n *Node) join(ctx context.Context) {
	wait := time.Duration(0)
	told := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		case <-n.meet:
		}
		n.forget()
		n.renew()
		n.confront()
		try := n.missing(ctx)
		if len(try) > 0 {
			reached, err := n.reach(try)
			switch {
			case reached > 0:
				n.cfg.Logger.Debug("reached hosts of the fleet", "tried", len(try), "reached", reached)
				told = false
			case !told && !n.alone():
			case !told:
				n.cfg.Logger.Warn("no other host of the fleet is reached yet; trying again", "seeds", n.cfg.Seeds, "error", hungUp(err))
				told = true
			}
		}
		wait = n.pause()
	}
}

// How many hosts are tried at once, so that those that are away hold up nobody; and after
// how many that were reached the others are left alone: they know the rest.
const (
	triedAtOnce = 16
	enough      = 3
)

// comparedFirst is with how many others a host that is new compares what it knows, soon.
const comparedFirst = 4

// reach compares what is known with some of the hosts to try.
func (n *Node) reach(try []string) (int, error) {
	rand.Shuffle(len(try), func(i, j int) { try[i], try[j] = try[j], try[i] })
	var reached atomic.Int32
	var group errgroup.Group
	group.SetLimit(triedAtOnce)
	for _, one := range try {
		group.Go(func() error {
			if reached.Load() >= enough {
				return nil
			}
			some, err := n.list.Join([]string{one})
			reached.Add(int32(some))
			return err
		})
	}
	err := group.Wait()
	return int(reached.Load()), err
}

// pause is short while this host has not found its fleet, and drawn so that hosts do
// not try all at once.
func (n *Node) pause() time.Duration {
	interval := n.cfg.RetryInterval
	if n.alone() && len(n.cfg.Seeds)+len(n.cfg.Places) > 0 || n.settling() {
		interval = min(interval, time.Second)
	}
	return interval/2 + rand.N(interval)
}

// alone says whether no other host is alive.
func (n *Node) alone() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.draw()) == 0
}

// settling says whether this host has found its fleet only just now.
func (n *Node) settling() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.settle > 0
}

// missing gives whom to try: all who might be there while this host is alone; those that
// are back; always one of the hosts that failed, of the places where others were and of the
// seeds, but for members: who was forgotten after a long partition is missed by nobody; and
// some of the others while this host is new: what was told before they knew of it went past it.
func (n *Node) missing(ctx context.Context) []string {
	n.mu.Lock()
	var try []string
	for _, one := range n.back {
		try = append(try, one.String())
	}
	n.back = nil
	met := n.met()
	failed, elsewhere := n.away(met)
	seeds := n.seeds(met)
	alive := n.draw()
	if len(alive) == 0 {
		n.settle = comparedFirst
		n.mu.Unlock()
		return slices.Concat(try, seeds, failed, elsewhere)
	}
	if n.settle > 0 {
		n.settle--
		try = append(try, addressOf(alive[rand.IntN(len(alive))]).String())
	}
	n.mu.Unlock()
	try = slices.Concat(try, one(failed), one(elsewhere))
	for _, seed := range one(seeds) {
		try = append(try, n.unmet(ctx, seed)...)
	}
	return try
}

// withPort gives a seed that names no port this host's own: fleets have one for all.
func withPort(seed string, own uint16) string {
	if _, _, err := net.SplitHostPort(seed); err == nil {
		return seed
	}
	return net.JoinHostPort(strings.Trim(seed, "[]"), strconv.Itoa(cmp.Or(int(own), DefaultPort)))
}

// forget lets go who failed or left long ago, and what was said of hosts that never
// became members.
func (n *Node) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, m := range n.hosts {
		age := time.Since(m.since)
		if m.status == Failed && age > n.cfg.Lifespan || m.status == Left && age > leftFor {
			if m.status == Failed {
				n.places.add(m.address, time.Now())
			}
			delete(n.hosts, name)
			n.state.drop(name)
			delete(n.lacks, name)
			delete(n.askers, name)
			n.withdraw(name)
			n.changed(name)
		}
	}
	n.places.forget(time.Now())
	for name, one := range n.refusals {
		if time.Since(one.since) > refusedFor {
			n.withdraw(name)
		}
	}
	for name, since := range n.strays {
		if time.Since(since) > leftFor {
			n.noStray(name)
			n.state.drop(name)
		}
	}
}
