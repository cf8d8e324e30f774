package stage

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// keptFailures bounds how many failures are told one by one.
const keptFailures = 20

// Failure is one request that was to succeed and did not.
type Failure struct {
	At     string `json:"at"` // since the load began
	During string `json:"during"`
	Why    string `json:"why"`
}

// Tally counts every request of a demo that is to succeed, those of its checks included.
type Tally struct {
	began time.Time

	mu       sync.Mutex // guards what follows
	during   string     // the check under way
	sent     int
	failed   int
	lost     int
	failures []Failure
	answered map[string]int // by instance
	lastGood time.Time
	pause    time.Duration // longest without a good answer, since ResetPause
}

// Count is what a tally had seen at one moment.
type Count struct {
	Sent, Failed int
	Lost         int            // at what was killed on purpose, and not failed
	Answered     map[string]int // by who answered
	Pause        time.Duration  // longest without a good answer, since ResetPause
}

// NewTally makes one that begins now.
func NewTally() *Tally {
	now := time.Now()
	return &Tally{began: now, lastGood: now, answered: map[string]int{}}
}

// Note counts one request that has ended: who answered it, on its whole way, or why it failed.
func (t *Tally) Note(err error, answered ...string) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sent++
	if err != nil {
		t.failed++
		if len(t.failures) < keptFailures {
			t.failures = append(t.failures, Failure{At: Since(t.began).String(), During: t.during, Why: err.Error()})
		}
		return
	}
	t.pause = max(t.pause, now.Sub(t.lastGood))
	t.lastGood = now
	for _, one := range answered {
		t.answered[one]++
	}
}

// NoteLost counts one request that was under way at what was killed on purpose.
func (t *Tally) NoteLost() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sent++
	t.lost++
}

// Enter names the check that is under way, for failures.
func (t *Tally) Enter(check string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.during = check
}

// ResetPause begins to measure pauses anew.
func (t *Tally) ResetPause() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pause, t.lastGood = 0, time.Now()
}

// Count gives what was seen so far.
func (t *Tally) Count() Count {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Count{t.sent, t.failed, t.lost, maps.Clone(t.answered), max(t.pause, time.Since(t.lastGood))}
}

// Requests gives what was seen so far as the part of a result.
func (t *Tally) Requests() Requests {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Requests{Sent: t.sent, Failed: t.failed, Lost: t.lost, Failures: slices.Clone(t.failures)}
}

// More waits until n more requests were answered than at before.
func (t *Tally) More(ctx context.Context, before Count, n int) error {
	return Poll(ctx, 20*time.Second, fmt.Sprintf("%d more requests", n), func(context.Context) error {
		if now := t.Count(); now.Sent-now.Failed < before.Sent-before.Failed+n {
			return fmt.Errorf("%d were sent, %d failed", now.Sent-before.Sent, now.Failed-before.Failed)
		}
		return nil
	})
}

// Since is how long ago that was, for people.
func Since(began time.Time) time.Duration { return time.Since(began).Round(10 * time.Millisecond) }
