package xds_test

import (
	"fmt"
	"sync"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/heddle-mesh/heddle/internal/xds"
)

// Many proxies come, ask, answer and go while updates are applied and the status
// is read: with the race detector this is what finds a missing lock. At the end
// those who stayed hold the latest state and nothing is left of the others.
func TestManyAtOnce(t *testing.T) {
	r := newRig(t, xds.Config{})
	const scopeCount, updates = 4, 100
	all := func(update int) (u xds.Update) {
		u.Scopes = map[string][]xds.Key{}
		for s := range scopeCount {
			scope := fmt.Sprint("scope", s)
			own := []*xds.Resource{
				resource(t, xds.TypeCluster, fmt.Sprint("own", s), fmt.Sprint("eds", update)),
				resource(t, xds.TypeEndpoint, fmt.Sprint("own", s), fmt.Sprint(update)),
				resource(t, xds.TypeCluster, "shared", fmt.Sprint(update/2)),
				resource(t, xds.TypeRoute, fmt.Sprint("out", s), fmt.Sprint(update/3)),
			}
			u.Put = append(u.Put, own...)
			u.Scopes[scope] = keys(own...)
			if update%10 == 9 && update != updates-1 {
				u.Scopes[scope] = nil
			}
		}
		return u
	}
	r.server.Apply(all(0))
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() { // proxies that come and go
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			c := subscribeAll(r, "ads-delta", fmt.Sprintf("scope%d/passing", i%scopeCount))
			eventually(t, "a response", func() bool { return len(c.taken()) > 0 })
			c.cancel()
		}
	})
	group.Go(func() { // an operator who watches
		for {
			select {
			case <-stop:
				return
			default:
				r.server.Status()
			}
		}
	})
	var staying []*client
	for i := range 2 * scopeCount {
		c := subscribeAll(r, []string{"ads-delta", "ads-sotw"}[i%2], fmt.Sprintf("scope%d/%d", i%scopeCount, i))
		staying = append(staying, c)
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					answerAll(c)
				}
			}
		})
	}
	for update := 1; update < updates; update++ {
		r.server.Apply(all(update))
	}
	eventually(t, "all that stayed have everything", func() bool {
		seen := 0
		for _, one := range r.server.Status() {
			if one.Instance == "passing" {
				continue
			}
			for _, typ := range one.Types {
				if typ.Acknowledged == "" || !typ.BehindSince.IsZero() {
					return false
				}
			}
			seen++
		}
		return seen == len(staying)
	})
	close(stop)
	group.Wait()
	for _, c := range staying {
		c.cancel()
	}
	gone := xds.Update{Scopes: map[string][]xds.Key{}}
	for s := range scopeCount {
		gone.Scopes[fmt.Sprint("scope", s)] = nil
	}
	r.server.Apply(gone)
	eventually(t, "nothing is left", func() bool {
		entries, scopes := r.server.Sizes()
		return entries == 0 && scopes == 0 && len(r.server.Status()) == 0
	})
}

// subscribeAll connects a client that asks for all clusters, endpoints and
// routes of its scope.
func subscribeAll(r *rig, transport, id string) *client {
	c := r.connect(transport, id)
	for _, typeURL := range []string{xds.TypeCluster, xds.TypeEndpoint, xds.TypeRoute} {
		c.mu.Lock()
		c.typ(typeURL).names = []string{"*"}
		c.mu.Unlock()
		if c.delta {
			c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesSubscribe: []string{"*"}})
		} else {
			c.send(&discoveryv3.DiscoveryRequest{TypeUrl: typeURL, ResourceNames: []string{"*"}})
		}
	}
	return c
}

// answerAll acknowledges everything that is open.
func answerAll(c *client) {
	for typeURL, n := range c.open() {
		for range n {
			c.answer(typeURL, "")
		}
	}
}
