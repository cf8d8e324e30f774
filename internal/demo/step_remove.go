package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/heddle-mesh/heddle/internal/demo/shop"
	"github.com/heddle-mesh/heddle/internal/demo/stage"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// leaseTTL is the lease of the instance that is not renewed: the shortest that
// the registry grants.
const leaseTTL = 2 * time.Second

// afterRequests are watched after an instance has gone.
const afterRequests = 100

// remove: one spare is deregistered, the lease of the other ends. Their apps
// and sidecars live on, so a request that still goes there is seen, not lost.
func (s *scenario) remove(ctx context.Context) (stage.Finding, error) {
	removed, expiring := s.town.spares[0], s.town.spares[1]
	for _, spare := range s.town.spares {
		if err := s.gets(ctx, spare); err != nil {
			return stage.Finding{}, err
		}
	}
	asked := time.Now()
	if err := s.deregister(ctx, removed); err != nil {
		return stage.Finding{}, err
	}
	acknowledged := time.Now()
	last, err := s.quiet(ctx, removed)
	if err != nil {
		return stage.Finding{}, err
	}
	figures := map[string]float64{"removeWriteMs": stage.MS(acknowledged.Sub(asked)), "removedLastRequestMs": stage.MS(max(0, last.Sub(acknowledged)))}

	// Registered anew, it has a short lease from here on, and nobody renews it.
	if _, err := s.town.plane.client.Register(ctx, []mesh.Instance{expiring.registration()}, leaseTTL); err != nil {
		return stage.Finding{Figures: figures}, err
	}
	leased := time.Now()
	if err := stage.Poll(ctx, leaseTTL+settleTime, "the lease of "+expiring.id+" to end", func(ctx context.Context) error {
		return s.unlisted(ctx, expiring)
	}); err != nil {
		return stage.Finding{Figures: figures}, err
	}
	if last, err = s.quiet(ctx, expiring); err != nil {
		return stage.Finding{Figures: figures}, err
	}
	figures["leaseTTLMs"], figures["expiredLastRequestMs"] = stage.MS(leaseTTL), stage.MS(last.Sub(leased))

	gone := removed.app.Served() + expiring.app.Served()
	if err := s.load.More(ctx, s.load.Count(), afterRequests); err != nil {
		return stage.Finding{Figures: figures}, err
	}
	if now := removed.app.Served() + expiring.app.Served(); now != gone {
		return stage.Finding{Figures: figures}, fmt.Errorf("%d requests reached instances that are gone", now-gone)
	}
	return stage.Finding{
		Detail:  fmt.Sprintf("%s was deregistered and %s not renewed (lease of %s): neither gets requests any more, and none failed", removed.id, expiring.id, leaseTTL),
		Figures: figures,
	}, nil
}

// gets makes sure that an instance gets requests.
func (s *scenario) gets(ctx context.Context, spare *instance) error {
	served := spare.app.Served()
	return stage.PollEach(ctx, 0, settleTime, spare.id+" to get requests", func(ctx context.Context) error {
		if err := s.eachFront(func(f *front) error {
			_, err := s.load.order(ctx, f)
			return err
		}); err != nil {
			return err
		}
		if spare.app.Served() == served {
			return errors.New("none has come")
		}
		return nil
	})
}

// unlisted says whether the registry has forgotten an instance.
func (s *scenario) unlisted(ctx context.Context, spare *instance) error {
	list, err := s.town.plane.client.Instances(ctx, shop.Orders)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(list, func(i mesh.Instance) bool { return i.Key() == spare.key() }) {
		return errors.New("it is still listed")
	}
	return nil
}
