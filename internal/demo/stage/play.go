package stage

import (
	"context"
	"fmt"
	"strings"
)

// Finding is what one step found when all was well.
type Finding struct {
	Detail  string
	Figures map[string]float64
}

// Step is one check of a scenario. Later steps use what earlier ones left.
type Step struct {
	Name string
	Play func(context.Context) (Finding, error)
}

// Play plays every step, and tells each check. A step that fails does not keep the
// later ones from being played; only the end of ctx does.
func Play(ctx context.Context, steps []Step, tally *Tally, tell func(Check)) []Check {
	var checks []Check
	for _, one := range steps {
		check := one.check(ctx, tally)
		tell(check)
		checks = append(checks, check)
	}
	return checks
}

// NotPlayed are the checks of a scenario that could not begin.
func NotPlayed(steps []Step, why error) []Check {
	var checks []Check
	for _, one := range steps {
		checks = append(checks, Check{Name: one.Name, Detail: skipped(why), Figures: map[string]float64{}})
	}
	return checks
}

// skipped says why a check was not played, in one line: the whole reason, with
// its log, is told once, in the end.
func skipped(why error) string {
	line, _, _ := strings.Cut(why.Error(), "\n")
	return "not played: " + line
}

// check plays one step; a request that fails meanwhile fails it.
func (s Step) check(ctx context.Context, tally *Tally) Check {
	check := Check{Name: s.Name, Figures: map[string]float64{}}
	if ctx.Err() != nil {
		check.Detail = skipped(context.Cause(ctx))
		return check
	}
	tally.Enter(s.Name)
	before := tally.Count()
	found, err := s.Play(ctx)
	if found.Figures != nil {
		check.Figures = found.Figures
	}
	if now := tally.Count(); err == nil && now.Failed > before.Failed {
		err = fmt.Errorf("%d of %d requests failed meanwhile", now.Failed-before.Failed, now.Sent-before.Sent)
	}
	if err != nil {
		check.Detail = err.Error()
		return check
	}
	check.OK, check.Detail = true, found.Detail
	return check
}
