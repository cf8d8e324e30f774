package hosts

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/demo/stage"
)

// scenario plays the checks on a town that is open.
type scenario struct {
	town *town
	load *load
}

// after is how long a step goes on once the change is known, to see what follows.
const after = time.Second

func (s *scenario) steps() []stage.Step {
	steps := []stage.Step{
		s.step("spread", s.spread),
		s.step("stop", s.stop),
		s.step("start", s.start),
		s.step("drain", s.drain),
		s.step("cut", s.cut),
		s.step("heal", s.heal),
		s.step("leave", s.leave),
		s.step("kill", s.kill),
		s.step("add", s.add),
	}
	return steps
}

// step plays one change, and adds what became of requests meanwhile.
func (s *scenario) step(name string, change func(context.Context) (detail string, known time.Duration, err error)) stage.Step {
	return stage.Step{Name: name, Play: func(ctx context.Context) (stage.Finding, error) {
		before := s.load.Count()
		s.load.took()
		retries, err := s.town.retries(ctx)
		if err != nil {
			return stage.Finding{}, err
		}
		s.town.say("%s …", doing[name])
		detail, known, err := change(ctx)
		if err != nil {
			return stage.Finding{}, err
		}
		if err := wait(ctx, after); err != nil {
			return stage.Finding{}, err
		}
		if err := s.load.ended(ctx); err != nil {
			return stage.Finding{}, err
		}
		now := s.load.Count()
		figures := map[string]float64{
			"requests": float64(now.Sent - before.Sent), "failed": float64(now.Failed - before.Failed), "lost": float64(now.Lost - before.Lost),
			"slowestMs": stage.MS(s.load.took()),
		}
		if known > 0 {
			figures["knownMs"] = stage.MS(known)
		}
		if again, err := s.town.retries(ctx); err == nil {
			figures["retried"] = float64(again - retries)
		}
		return stage.Finding{Detail: detail, Figures: figures}, nil
	}}
}

// doing says what a step does, and how long that takes.
var doing = map[string]string{
	"spread": "requests go to all hosts (2 s)",
	"stop":   "web is stopped on host-1",
	"start":  "web is started again on host-1",
	"drain":  "web is drained on host-3, and then not any more",
	"cut":    "host-2 is cut off: its cable is pulled (some 10 s)",
	"heal":   "host-2 is connected again (up to 20 s)",
	"leave":  "the agent of host-3 is ended and started again, while its services run",
	"kill":   "host-1 loses its power (some 10 s)",
	"add":    "host-4 is added",
}

// play plays every step while the load flows.
func (t *town) play(ctx context.Context) stage.Result {
	s := &scenario{town: t, load: newLoad(t)}
	loadCtx, end := context.WithCancel(context.WithoutCancel(ctx))
	var loading sync.WaitGroup
	loading.Go(func() { s.load.run(loadCtx) })
	t.say("requests come to the ingress host, %d a second, until the end", time.Second/loadPace)
	result := stage.Result{Checks: stage.Play(ctx, s.steps(), s.load.Tally, t.tell)}
	end()
	loading.Wait()
	result.Requests = s.load.Requests()
	return result
}

// notPlayed is the result when the scenario could not begin.
func (t *town) notPlayed(why error) stage.Result {
	return stage.Result{Checks: stage.NotPlayed((&scenario{town: t}).steps(), why)}
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// timed says how long something took that waits for the ingress host to know.
func timed(do func() error) (time.Duration, error) {
	began := time.Now()
	err := do()
	return time.Since(began), err
}

// spread: all copies of all services answer.
func (s *scenario) spread(ctx context.Context) (string, time.Duration, error) {
	before := s.load.Count()
	if err := wait(ctx, time.Second); err != nil {
		return "", 0, err
	}
	now := s.load.Count()
	for _, h := range s.town.hosts {
		for _, one := range services() {
			if name := one.name + " on " + h.name; now.Answered[name] == before.Answered[name] {
				return "", 0, fmt.Errorf("no request came to %s", name)
			}
		}
	}
	return fmt.Sprintf("all %d copies of %d services answer", len(s.town.hosts)*len(services()), len(services())), 0, nil
}
