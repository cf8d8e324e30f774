package operator

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// counted asks all servers how far the proxies have come: each knows those that are
// connected to itself, and no other's.
type counted struct {
	named []*client.Client // by a name that may have several addresses

	mu   sync.Mutex
	at   []map[netip.Addr]*client.Client // guarded by mu, as below: of each of named; the maps are not changed
	read time.Time                       // when the addresses were looked up
}

func newCounted(named []*client.Client) *counted {
	return &counted{named: named, at: make([]map[netip.Addr]*client.Client, len(named))}
}

// addressesLast is how long the addresses of the servers' names are taken to be so.
const addressesLast = 5 * time.Second

// countTimeout bounds how long a server that does not answer holds up an object.
const countTimeout = 3 * time.Second

// servers gives a client of each address.
func (c *counted) servers(ctx context.Context) ([]*client.Client, error) {
	c.mu.Lock()
	known, fresh := c.at, time.Since(c.read) <= addressesLast
	c.mu.Unlock()
	if !fresh {
		now := make([]map[netip.Addr]*client.Client, len(c.named))
		for i, one := range c.named {
			var err error
			if now[i], err = one.Each(ctx, known[i]); err != nil {
				return nil, err
			}
		}
		known = now
		c.mu.Lock()
		c.at, c.read = now, time.Now()
		c.mu.Unlock()
	}
	var out []*client.Client
	for _, of := range known {
		out = slices.AppendSeq(out, maps.Values(of))
	}
	return out, nil
}

// progress sums up what all servers say. An address at which nothing listens has no
// proxies; of one that does not answer nobody knows, and that is the error.
func (c *counted) progress(ctx context.Context, noun, name string) (mesh.Progress, error) {
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	servers, err := c.servers(ctx)
	if err != nil {
		return mesh.Progress{}, err
	}
	answers, faults := make([]mesh.Progress, len(servers)), make([]error, len(servers))
	var all sync.WaitGroup
	for i, one := range servers {
		all.Go(func() { answers[i], faults[i] = one.Progress(ctx, noun, name) })
	}
	all.Wait()
	seen := map[string]bool{}
	var sum mesh.Progress
	for i, one := range answers {
		switch err := faults[i]; {
		case errors.Is(err, syscall.ECONNREFUSED):
			continue
		case err != nil:
			return mesh.Progress{}, err
		case seen[one.Server]: // it has several addresses
			continue
		}
		if len(seen) == 0 || one.Revision < sum.Revision {
			sum.Revision = one.Revision
		}
		seen[one.Server] = true
		sum.Proxies += one.Proxies
		sum.Acknowledged += one.Acknowledged
		sum.Refused = append(sum.Refused, one.Refused...)
	}
	if len(seen) == 0 {
		return mesh.Progress{}, errors.Join(append(faults, errNoServer)...)
	}
	return sum, nil
}

var errNoServer = mesh.Unavailable(nil, "no Heddle server answers that could count proxies")
