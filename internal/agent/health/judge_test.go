package health

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/heddle-mesh/heddle/internal/hosts"
)

// Outcomes, a second apart: "." succeeds, "x" fails; the health after each by its letter.
func TestSoManyOutcomesInARowDecide(t *testing.T) {
	for name, c := range map[string]struct {
		check      hosts.Check
		hear, want string
	}{
		"at once":                {hosts.Check{}, ".x.", "huh"},
		"two failures":           {hosts.Check{Unhealthy: 2}, ".x.xx.", "hhhhuh"},
		"three successes":        {hosts.Check{Healthy: 3}, "..x...", "kkuuuh"},
		"unknown for a while":    {hosts.Check{Unhealthy: 3}, "xxx", "kku"},
		"healthy from the start": {hosts.Check{Initial: hosts.Healthy, Unhealthy: 2}, "xx", "hu"},
		"unhealthy at the start": {hosts.Check{Initial: hosts.Unhealthy, Healthy: 2}, "x.x..", "uuuuh"},
		"often is held":          {hosts.Check{}, ".x.x.x.x..........", "huhuhuhuuuuuuuuuuh"},
	} {
		j, now, got := newJudge(c.check), time.Now(), ""
		for _, outcome := range c.hear {
			now = now.Add(time.Second)
			j.hear(map[rune]string{'x': "it failed"}[outcome], now)
			got += map[hosts.Health]string{hosts.Healthy: "h", hosts.Unhealthy: "u", hosts.Unknown: "k"}[j.Health]
			if (j.Reason == "") != (j.Health != hosts.Unhealthy) && c.check.Initial == "" {
				t.Errorf("%s: %s for the reason %q", name, j.Health, j.Reason)
			}
		}
		if got != c.want {
			t.Errorf("%s: %s is judged %s, to be %s", name, c.hear, got, c.want)
		}
	}
}

// What changes all the time is held for longer and longer, and not without end; what was
// calm begins anew.
func TestWhatChangesTooOftenIsHeldForAGrowingWhile(t *testing.T) {
	j, now := newJudge(hosts.Check{}), time.Now()
	fall := func() time.Duration {
		for j.Health != hosts.Healthy {
			now = now.Add(time.Second)
			j.hear("", now)
		}
		now = now.Add(time.Second)
		j.hear("it failed", now)
		if j.quiet.After(now) != strings.HasPrefix(j.Reason, "held for ") {
			t.Errorf("held until %s, and the reason is %q", j.quiet.Sub(now), j.Reason)
		}
		return j.quiet.Sub(now)
	}
	for i, want := range []int{0, 0, 0, 10, 20, 40, 80, 160, 300, 300, 300} {
		if got := fall(); got != time.Duration(want)*time.Second {
			t.Errorf("fall %d: held for %s, to be %d s", i+1, got, want)
		}
	}
	for range 500 {
		now = now.Add(time.Second)
		j.hear("", now)
	}
	if got := fall(); got != 0 {
		t.Errorf("after it was calm it is held for %s", got)
	}
}

// Another reason is told now and then, and none that differs in numbers only.
func TestReasonsChangeSeldom(t *testing.T) {
	j, now, told := newJudge(hosts.Check{}), time.Now(), 0
	for i := range 600 {
		now = now.Add(time.Second)
		if j.hear([]string{"it took 7 ms", "it took 13 ms"}[i%2], now) {
			told++
		}
	}
	if told != 1 {
		t.Errorf("told %d times", told)
	}
	for i := range 600 {
		now = now.Add(time.Second)
		if j.hear([]string{"refused", "reset"}[i%2], now) {
			told++
		}
	}
	if told < 3 || told > 12 {
		t.Errorf("two reasons in turn are told %d times in 10 minutes", told)
	}
}

func TestWhateverComesAJudgeIsConsistent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		check := hosts.Check{Healthy: rapid.IntRange(0, 4).Draw(t, "healthy"), Unhealthy: rapid.IntRange(0, 4).Draw(t, "unhealthy")}
		j, now := newJudge(check), time.Now()
		good, bad := 0, 0
		for _, ok := range rapid.SliceOfN(rapid.Bool(), 1, 200).Draw(t, "outcomes") {
			now = now.Add(time.Duration(rapid.IntRange(1, 30).Draw(t, "seconds")) * time.Second)
			before, failure := j.verdict, "it failed"
			if ok {
				failure, good, bad = "", good+1, 0
			} else {
				good, bad = 0, bad+1
			}
			held := j.held(now)
			changed := j.hear(failure, now)
			if changed != (before != j.verdict) {
				t.Fatalf("from %v to %v, said to have changed: %t", before, j.verdict, changed)
			}
			if good >= max(check.Healthy, 1) && !held && j.Health != hosts.Healthy {
				t.Fatalf("%s after %d successes", j.Health, good)
			}
			if bad >= max(check.Unhealthy, 1) && j.Health != hosts.Unhealthy {
				t.Fatalf("%s after %d failures", j.Health, bad)
			}
			if j.hold > longestHold || j.quiet.Sub(now) > longestHold {
				t.Fatalf("held for %s", j.hold)
			}
		}
	})
}
