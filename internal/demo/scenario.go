package demo

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/demo/stage"
)

// scenarioTime bounds the whole scenario; it takes about half a minute.
const scenarioTime = 3 * time.Minute

// scenario plays the checks on a town that is open.
type scenario struct {
	town *town
	load *load
}

// steps are the checks in their order.
func (s *scenario) steps() []stage.Step {
	return []stage.Step{
		{Name: "spread", Play: s.spread},
		{Name: "mtls", Play: s.mtls},
		{Name: "token", Play: s.token},
		{Name: "undeclared", Play: s.undeclared},
		{Name: "edge", Play: s.edge},
		{Name: "register", Play: s.register},
		{Name: "remove", Play: s.remove},
		{Name: "declare", Play: s.declare},
		{Name: "weights", Play: s.weights},
		{Name: "authz", Play: s.authz},
		{Name: "restart", Play: s.restart},
		{Name: "upstream", Play: s.upstream},
	}
}

// notPlayed is the result when the scenario could not begin.
func notPlayed(why error) stage.Result {
	return stage.Result{Checks: stage.NotPlayed((&scenario{}).steps(), why)}
}

// play plays every step while the load flows. A step that fails does not keep
// the later ones from being played; only the end of ctx does.
func play(ctx context.Context, t *town) stage.Result {
	ctx, cancel := context.WithTimeoutCause(ctx, scenarioTime, fmt.Errorf("the scenario took longer than %s", scenarioTime))
	defer cancel()
	s := &scenario{town: t, load: newLoad([]*front{t.gateway.front})}
	loadCtx, endLoad := context.WithCancel(context.WithoutCancel(ctx))
	var loading sync.WaitGroup
	loading.Go(func() { s.load.run(loadCtx) })

	result := stage.Result{Checks: stage.Play(ctx, s.steps(), s.load.Tally, func(check stage.Check) { t.say("%s", check.Line()) })}
	endLoad()
	loading.Wait()
	result.Requests = s.load.Requests()
	return result
}

// eachFront plays something by way of each of web's sidecars at once, and gives
// the first error.
func (s *scenario) eachFront(play func(*front) error) error {
	errs := make([]error, len(s.town.fronts))
	var playing sync.WaitGroup
	for i, f := range s.town.fronts {
		playing.Go(func() { errs[i] = play(f) })
	}
	playing.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
