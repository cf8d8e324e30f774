package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/demo/stage"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

const (
	// registerRounds is how often each spare instance is registered.
	registerRounds = 5
	// registerTTL outlives the scenario: nobody renews it.
	registerTTL = 5 * time.Minute
	// probePace is the pause between two requests of one prober. It bounds how
	// well a first request can be timed, and leaves the processors some room.
	probePace = time.Millisecond
	// settleTime bounds how long callers may take to follow a change.
	settleTime = 10 * time.Second
)

// register: instances are registered over REST; measured is the time from the
// answer to the write until the first request that reaches the instance's app.
// The spares stay registered after the last round.
func (s *scenario) register(ctx context.Context) (stage.Finding, error) {
	var took []time.Duration
	for round := range registerRounds {
		for _, spare := range s.town.spares {
			elapsed, err := s.registerOne(ctx, spare)
			if err != nil {
				return stage.Finding{}, err
			}
			took = append(took, elapsed)
			if round == registerRounds-1 {
				continue
			}
			if err := s.deregister(ctx, spare); err != nil {
				return stage.Finding{}, err
			}
			if _, err := s.quiet(ctx, spare); err != nil {
				return stage.Finding{}, err
			}
		}
	}
	p50, longest := stage.Percentile(took, 0.5), stage.Percentile(took, 1)
	return stage.Finding{
		Detail:  fmt.Sprintf("%d registrations: the first request came %.1f ms (p50) after the acknowledged write, %.1f ms at most", len(took), stage.MS(p50), stage.MS(longest)),
		Figures: map[string]float64{"registrations": float64(len(took)), "p50Ms": stage.MS(p50), "maxMs": stage.MS(longest)},
	}, nil
}

// registerOne registers a spare instance and gives the time until its first request.
func (s *scenario) registerOne(ctx context.Context, spare *instance) (time.Duration, error) {
	served := spare.app.Served()
	stop := s.probe(ctx)
	defer stop()
	if _, err := s.town.plane.client.Register(ctx, []mesh.Instance{spare.registration()}, registerTTL); err != nil {
		return 0, err
	}
	acknowledged := time.Now()
	err := stage.PollEach(ctx, 200*time.Microsecond, settleTime, "a request to reach "+spare.id, func(context.Context) error {
		if spare.app.Served() == served {
			return errors.New("none has come")
		}
		return nil
	})
	return time.Since(acknowledged), err
}

// probe sends counted requests from each of web's sidecars to orders until stop
// is called, more densely than the load.
func (s *scenario) probe(ctx context.Context) (stop func()) {
	ctx, end := context.WithCancel(ctx)
	var probing sync.WaitGroup
	for _, f := range s.town.fronts {
		probing.Go(func() {
			tick := time.NewTicker(probePace)
			defer tick.Stop()
			for ctx.Err() == nil {
				_, _ = s.load.order(context.WithoutCancel(ctx), f) // counted there
				select {
				case <-ctx.Done():
				case <-tick.C:
				}
			}
		})
	}
	return func() {
		end()
		probing.Wait()
	}
}

func (s *scenario) deregister(ctx context.Context, spare *instance) error {
	return s.town.plane.client.Deregister(ctx, spare.key(), "")
}

// quiet waits until an instance gets no requests any more, and gives the time
// of the last one: several in a row from each sidecar of web go elsewhere.
func (s *scenario) quiet(ctx context.Context, spare *instance) (last time.Time, err error) {
	const inARow = 12
	err = stage.PollEach(ctx, 0, settleTime, spare.id+" to get no requests any more", func(ctx context.Context) error {
		served := spare.app.Served()
		if err := s.eachFront(func(f *front) error {
			for range inARow {
				if _, err := s.load.order(ctx, f); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
		if now := spare.app.Served(); now != served {
			return fmt.Errorf("it got %d of the last requests", now-served)
		}
		return nil
	})
	return spare.app.LastServed(), err
}
