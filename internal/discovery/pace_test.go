package discovery

import (
	"testing"
	"time"
)

func TestThePaceFollowsTheSource(t *testing.T) {
	p := Pace{Interval: 10 * time.Second, Longest: time.Minute}.WithDefaults()
	const even = 0.5 // no jitter
	base := time.Duration(0)
	step := func(o outcome) time.Duration {
		var wait time.Duration
		base, wait = p.next(base, o, even)
		return wait
	}
	for i, c := range []struct {
		o    outcome
		want time.Duration
	}{
		{outcome{}, 10 * time.Second},                            // the first
		{outcome{}, 12500 * time.Millisecond},                    // it grows while nothing changes
		{outcome{}, 15625 * time.Millisecond},                    //
		{outcome{changed: true}, 10 * time.Second},               // and begins anew
		{outcome{failed: true}, 20 * time.Second},                // it doubles while it fails
		{outcome{failed: true, changed: true}, 40 * time.Second}, // also in part
		{outcome{failed: true}, time.Minute},                     // up to the longest
		{outcome{failed: true, after: 5 * time.Second}, time.Minute},
		{outcome{failed: true, after: 3 * time.Minute}, 3 * time.Minute}, // unless it asks for more
		{outcome{after: 100 * time.Hour}, longestWait},
	} {
		if got := step(c.o); got != c.want {
			t.Errorf("step %d %+v: wait %s, want %s", i, c.o, got, c.want)
		}
	}
}

func TestSourcesDriftApart(t *testing.T) {
	p := Pace{}.WithDefaults()
	_, least := p.next(0, outcome{}, 0)
	_, most := p.next(0, outcome{}, 1)
	if least != 27*time.Second || most != 33*time.Second {
		t.Errorf("from %s to %s, want 30s and a tenth of it less or more", least, most)
	}
}

// TestWhenMachinesAreStale, unless it is said: longer than a scope that is well goes
// unconfirmed.
func TestWhenMachinesAreStale(t *testing.T) {
	for _, c := range []struct{ is, want Pace }{
		{Pace{}, Pace{30 * time.Second, 2 * time.Minute, time.Hour}},
		{Pace{Interval: time.Hour}, Pace{time.Hour, time.Hour, 4 * time.Hour}},
		{Pace{StaleAfter: 5 * time.Minute}, Pace{30 * time.Second, 2 * time.Minute, 5 * time.Minute}},
	} {
		if got := c.is.WithDefaults(); got != c.want {
			t.Errorf("%+v: got %+v, want %+v", c.is, got, c.want)
		}
	}
}
