package demo

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// scenarioTime bounds the whole scenario; it takes about half a minute.
const scenarioTime = 3 * time.Minute

// scenario plays the checks on a town that is open.
type scenario struct {
	town *town
	load *load
}

// finding is what one step found when all was well.
type finding struct {
	detail  string
	figures map[string]float64
}

// step is one check. Later steps use what earlier ones left.
type step struct {
	name string
	play func(*scenario, context.Context) (finding, error)
}

func steps() []step {
	return []step{
		{"spread", (*scenario).spread},
		{"mtls", (*scenario).mtls},
		{"token", (*scenario).token},
		{"undeclared", (*scenario).undeclared},
		{"edge", (*scenario).edge},
		{"register", (*scenario).register},
		{"remove", (*scenario).remove},
		{"declare", (*scenario).declare},
		{"weights", (*scenario).weights},
		{"authz", (*scenario).authz},
		{"restart", (*scenario).restart},
		{"upstream", (*scenario).upstream},
	}
}

// notPlayed is the result when the scenario could not begin.
func notPlayed(why error) Result {
	var r Result
	for _, s := range steps() {
		r.Checks = append(r.Checks, Check{Name: s.name, Detail: skipped(why), Figures: map[string]float64{}})
	}
	return r
}

// skipped says why a check was not played, in one line: the whole reason, with
// its log, is told once, in the end.
func skipped(why error) string {
	line, _, _ := strings.Cut(why.Error(), "\n")
	return "not played: " + line
}

// play plays every step while the load flows. A step that fails does not keep
// the later ones from being played; only the end of ctx does.
func play(ctx context.Context, t *town) Result {
	ctx, cancel := context.WithTimeoutCause(ctx, scenarioTime, fmt.Errorf("the scenario took longer than %s", scenarioTime))
	defer cancel()
	s := &scenario{town: t, load: newLoad([]*front{t.gateway.front})}
	loadCtx, endLoad := context.WithCancel(context.WithoutCancel(ctx))
	var loading sync.WaitGroup
	loading.Go(func() { s.load.run(loadCtx) })

	var result Result
	for _, one := range steps() {
		check := s.check(ctx, one)
		t.say("%s", check.line())
		result.Checks = append(result.Checks, check)
	}
	endLoad()
	loading.Wait()
	total := s.load.count()
	result.Requests = Requests{Sent: total.sent, Failed: total.failed, Failures: s.load.failures}
	return result
}

func (s *scenario) check(ctx context.Context, one step) Check {
	check := Check{Name: one.name, Figures: map[string]float64{}}
	if ctx.Err() != nil {
		check.Detail = skipped(context.Cause(ctx))
		return check
	}
	s.load.enter(one.name)
	before := s.load.count()
	found, err := one.play(s, ctx)
	if found.figures != nil {
		check.Figures = found.figures
	}
	if now := s.load.count(); err == nil && now.failed > before.failed {
		err = fmt.Errorf("%d of %d requests failed meanwhile", now.failed-before.failed, now.sent-before.sent)
	}
	if err != nil {
		check.Detail = err.Error()
		return check
	}
	check.OK, check.Detail = true, found.detail
	return check
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
