package agent

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/heddle-mesh/heddle/internal/gossip"
	"github.com/heddle-mesh/heddle/internal/hosts"
)

// burst is how many changes in a row the proxy is told of at once after it was quiet.
const burst = 4

// follow turns what hosts say into snapshots of the fleet, at once, and into changes of
// the catalog: at once when it was quiet, and coalesced under constant change.
func (a *Agent) follow(ctx context.Context) error {
	feed := a.gossip.Subscribe()
	defer feed.Close()
	pace := rate.NewLimiter(rate.Every(a.cfg.PushInterval), burst)
	compared, patience := a.gossip.Compared(), time.After(comparingTime)
	minutes := time.NewTicker(time.Minute)
	defer minutes.Stop()
	var due <-chan time.Time // nil: there is nothing to tell the proxy
	ready := feed.Ready()
	var rested <-chan time.Time // nil: what is said is read at once
	push := func() {
		if changes := a.fleet.Changes(); len(changes) > 0 { // what the proxy need not know takes no turn
			pace.ReserveN(time.Now(), 1)
			a.catalog.Apply(0, true, changes)
		}
		list := a.fleet.Problems()
		select {
		case <-a.known: // before, most is yet to be heard of
			list = append(list, a.fleet.Missing(a.cfg.Gossip.Name)...)
		default:
		}
		a.wrong(ofFleet, list)
	}
	rest := func(since time.Time) { // half of one's time at most goes by what hosts say, whatever that is
		if took := time.Since(since); took > tiring {
			ready, rested = nil, time.After(took)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-rested:
			ready, rested = feed.Ready(), nil
			continue
		case <-ready:
			began := time.Now()
			a.heardNow(feed)
			if due == nil { // else it goes with what is due
				if wait := untilTurn(pace, time.Now()); wait > 0 {
					due = time.After(wait)
				} else {
					push()
				}
			}
			rest(began)
		case <-due:
			due = nil
			began := time.Now()
			push()
			rest(began)
		case <-compared:
			compared = nil
			a.heardNow(feed)
			a.claim()
			push()
		case ports := <-a.reserved:
			a.fleet.Reserve(ports)
			push()
		case <-patience:
			a.claim()
			push()
		case now := <-minutes.C:
			for _, name := range a.forgotten.over(now) {
				a.fleet.Set(name, hosts.Left, nil)
			}
			push()
		}
	}
}

// untilTurn is how long it is until pace lets the proxy be told of something. A turn is
// taken when it is told, so that one which comes late brings the next no closer to it.
func untilTurn(pace *rate.Limiter, now time.Time) time.Duration {
	return time.Duration(max(0, (1-pace.TokensAt(now))/float64(pace.Limit())*float64(time.Second)))
}

// tiring is how long what hosts say may take to read and to follow without a pause after it.
const tiring = 20 * time.Millisecond

// heardNow takes what there is to hear.
func (a *Agent) heardNow(feed *gossip.Feed) {
	if changed := feed.Take(); len(changed) > 0 {
		a.heard(changed)
	}
	list := []hosts.Problem{}
	for _, one := range a.gossip.Refusals() {
		list = append(list, hosts.Problem{Host: one.Host, Message: one.Message})
	}
	a.wrong(ofGossip, list)
}

// heard takes what hosts say now.
func (a *Agent) heard(changed []gossip.Host) {
	now := time.Now()
	list := make([]hosts.Host, 0, len(changed))
	for _, host := range changed {
		one := hosts.Host{Name: host.Name, Address: host.Address, Status: statusOf(host.Status), Meta: hosts.DecodeMeta(host.Meta), Seen: now}
		var refused []hosts.Problem
		one.Bridge, one.Services, refused = readOf(host)
		delete(a.forgotten, one.Name)
		if one.Status == hosts.Forgotten {
			one.Services, refused = nil, nil // the fleet has what it ran last
			for _, oldest := range a.forgotten.add(one.Name, now) {
				a.fleet.Set(oldest, hosts.Left, nil)
			}
		}
		if one.Status == hosts.Alive && host.Told {
			a.fleet.SetBridge(one.Name, one.Bridge)
		}
		a.fleet.Set(one.Name, one.Status, one.Services, refused...)
		list = append(list, one)
	}
	a.state.set(func(next *hosts.State) bool {
		known := map[string]hosts.Host{}
		for _, h := range next.Hosts {
			known[h.Name] = h
		}
		for _, one := range list {
			if one.Status == hosts.Left || one.Status == hosts.Forgotten {
				delete(known, one.Name)
			} else {
				known[one.Name] = one
			}
		}
		next.Hosts = slices.SortedFunc(maps.Values(known), func(a, b hosts.Host) int { return cmp.Compare(a.Name, b.Name) })
		return true
	})
}

func statusOf(s gossip.Status) hosts.Status {
	switch s {
	case gossip.Failed:
		return hosts.Failed
	case gossip.Left:
		return hosts.Left
	case gossip.Gone:
		return hosts.Forgotten
	default:
		return hosts.Alive
	}
}

const (
	// mostRefused is how many services of one host are told of that cannot be.
	mostRefused = 16
	// mostPorts bounds what one host's record makes of the mesh: each port is a service.
	mostPorts = 4096
)

// readOf reads what a host says of itself as a bridge and that it runs, and what of that
// cannot be.
func readOf(host gossip.Host) (bridge *hosts.Bridge, list []hosts.Service, refused []hosts.Problem) {
	list = make([]hosts.Service, 0, len(host.Entries))
	more, ports := 0, 0
	for _, key := range slices.Sorted(maps.Keys(host.Entries)) {
		if key == hosts.BridgeEntry {
			said, err := hosts.DecodeBridge(host.Entries[key])
			switch {
			case err != nil:
				refused = append(refused, hosts.Problem{Host: host.Name, Bridge: true, Message: err.Error()})
			case host.Told:
				bridge = &said
			}
			continue
		}
		s, err := hosts.Decode(host.Entries[key])
		if err != nil {
			if more++; more > mostRefused {
				continue
			}
			refused = append(refused, hosts.Refused(host.Name, cmp.Or(s.Name, key), err))
			continue
		}
		if ports += len(s.Ports); ports > mostPorts {
			continue
		}
		list = append(list, s)
	}
	if ports > mostPorts {
		refused = append(refused, hosts.Problem{Host: host.Name, Message: fmt.Sprintf("its services have %d ports, and those of a host may have %d: the services after that are called by no proxy", ports, mostPorts)})
	}
	if more > mostRefused {
		refused = append(refused, hosts.Problem{Host: host.Name, Message: fmt.Sprintf("%d services more are called by no proxy", more-mostRefused)})
	}
	return bridge, list, refused
}
