package hosts

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// stop: a copy is stopped in order, as docker stop does.
func (s *scenario) stop(ctx context.Context) (string, time.Duration, error) {
	h, web := s.town.hosts[0], services()[0]
	took, err := timed(func() error {
		if err := h.backend.stop(ctx, web); err != nil {
			return err
		}
		return s.town.withdrawn(ctx, h, web)
	})
	return "the others take its requests", took, err
}

// start: it is started again.
func (s *scenario) start(ctx context.Context) (string, time.Duration, error) {
	h, web := s.town.hosts[0], services()[0]
	took, err := timed(func() error {
		if err := h.backend.start(ctx, web); err != nil {
			return err
		}
		return s.town.routable(ctx, h, web)
	})
	if err == nil {
		err = s.answers(ctx, h)
	}
	return "it takes requests again", took, err
}

// drain: a copy finishes what it has, and gets nothing new until it may again.
func (s *scenario) drain(ctx context.Context) (string, time.Duration, error) {
	h, web := s.town.hosts[2], services()[0]
	took, err := timed(func() error {
		if err := h.drain(ctx, s.town, web, true); err != nil {
			return err
		}
		return s.town.withdrawn(ctx, h, web)
	})
	if err != nil {
		return "", 0, err
	}
	if err := s.load.ended(ctx); err != nil {
		return "", 0, err
	}
	before := s.load.Count()
	if err := wait(ctx, after); err != nil {
		return "", 0, err
	}
	name := web.name + " on " + h.name
	if now := s.load.Count(); now.Answered[name] != before.Answered[name] {
		return "", 0, fmt.Errorf("%s got %d requests after it was drained", name, now.Answered[name]-before.Answered[name])
	}
	if err := h.drain(ctx, s.town, web, false); err != nil {
		return "", 0, err
	}
	if err := s.town.routable(ctx, h, web); err != nil {
		return "", 0, err
	}
	return "it got none while it was drained", took, s.answers(ctx, h)
}

// cut: a host is there no more, and nobody says so.
func (s *scenario) cut(ctx context.Context) (string, time.Duration, error) {
	h := s.town.hosts[1]
	took, err := timed(func() error {
		err := s.town.plug(ctx, h, false)
		s.load.hostCut()
		if err != nil {
			return err
		}
		return s.town.withdrawn(ctx, h, services()...)
	})
	return "given up by the others, who take its requests", took, err
}

// heal: it is found again.
func (s *scenario) heal(ctx context.Context) (string, time.Duration, error) {
	h := s.town.hosts[1]
	took, err := timed(func() error {
		if err := s.town.plug(ctx, h, true); err != nil {
			return err
		}
		return s.town.routable(ctx, h, services()...)
	})
	if err == nil {
		err = s.answers(ctx, h)
	}
	return "found again by the others", took, err
}

// leave: a host's agent ends in order and comes back, as for a new version of it.
func (s *scenario) leave(ctx context.Context) (string, time.Duration, error) {
	h := s.town.hosts[2]
	took, err := timed(func() error {
		if !h.agent.Stop(agentGrace, s.town.config.Hurry) {
			return errors.New("the agent did not end when asked")
		}
		return s.town.withdrawn(ctx, h, services()...)
	})
	if err != nil {
		return "", 0, err
	}
	if err := h.startAgent(ctx, s.town); err != nil {
		return "", 0, err
	}
	if err := s.town.routable(ctx, h, services()...); err != nil {
		return "", 0, err
	}
	return "it said so, and the others called it no more until it came back", took, s.answers(ctx, h)
}

// kill: a host loses its power.
func (s *scenario) kill(ctx context.Context) (string, time.Duration, error) {
	h := s.town.hosts[0]
	took, err := timed(func() error {
		err := s.town.plug(ctx, h, false)
		s.load.hostCut()
		if err != nil {
			return err
		}
		h.crash()
		return s.town.withdrawn(ctx, h, services()...)
	})
	return "given up by the others, who take its requests", took, err
}

// add: a host joins that knows nothing but the key and the address of another.
func (s *scenario) add(ctx context.Context) (string, time.Duration, error) {
	h, err := s.town.addHost(ctx)
	if err != nil {
		return "", 0, err
	}
	if err := s.town.startServices(ctx, h); err != nil {
		return "", 0, err
	}
	took, err := timed(func() error {
		if err := h.startAgent(ctx, s.town); err != nil {
			return err
		}
		return s.town.routable(ctx, h, services()...)
	})
	if err == nil {
		err = s.answers(ctx, h)
	}
	return "it is called", took, err
}

// answers waits until each service on a host has answered once more.
func (s *scenario) answers(ctx context.Context, h *host) error {
	before := s.load.Count()
	return s.town.known(ctx, h.name+" to answer", func(map[string]int) error {
		now := s.load.Count()
		for _, one := range services() {
			if name := one.name + " on " + h.name; now.Answered[name] == before.Answered[name] {
				return fmt.Errorf("%s has not", one.name)
			}
		}
		return nil
	})
}
